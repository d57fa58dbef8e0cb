"""Codecs fitted to any model from photos: tokens cached, sensitivities, cards."""
