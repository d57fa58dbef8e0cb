"""Semantic compression: what a photo means, in words."""
