"""Training of strategies with an ordered latent: ``tokens-1d``, ``side-info`` and ``question-coded``."""
