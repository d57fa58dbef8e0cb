"""Which region of the original photo is worth a second look (arXiv 2512.16349), and when."""

MAX_LOOKS = 32
"""Regions that one session may ask for."""
