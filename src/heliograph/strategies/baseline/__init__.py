"""Baselines: pictures, raw pixels, and the device's own answer."""
