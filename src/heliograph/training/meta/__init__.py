"""Training of the learned progressive codec ``meta``."""
