"""Photo files as upright 8-bit sRGB pixels, read with bounded memory."""
