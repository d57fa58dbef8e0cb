"""Compressed-domain inference: the vision tower reads what a picture's decoder would have read."""
