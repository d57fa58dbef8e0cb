"""From a photo file that a person named to upright 8-bit sRGB pixels, with bounded memory."""
