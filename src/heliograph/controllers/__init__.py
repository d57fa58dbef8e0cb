"""Decide enough, more or which region from observations only: pure functions, numpy at most."""
