"""Compressed-latent inputs: a learned latent of few numbers, from which the model is given its tokens."""
