"""The checkpoint's image processor in Pillow and numpy."""
