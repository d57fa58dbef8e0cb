"""Training, fitting and export; needs torch."""
