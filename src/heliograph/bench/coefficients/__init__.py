"""What coefficients in place of pixels cost and save."""
