"""``heliograph doctor``."""
