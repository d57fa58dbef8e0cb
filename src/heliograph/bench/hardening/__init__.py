"""Suite ``hardening``: what strangers, networks and odd files cost, measured on real processes."""
