"""Training of a small picture codec and of what leads its latents into a vision tower; see :mod:`.train`."""
