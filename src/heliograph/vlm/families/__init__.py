"""Every model family that transformers offers, at a tiny size: is the tap exact for it? See ``contract``."""
