"""Names of the suite's figures, which its picture and the README look for."""

HEADLINE = 0.90
"""Agreement at which the figures with bounds are read."""

PAYLOAD, WIRE = "bytes", "wire bytes of an exchange on an open connection"
OVER_PIXELS = "best progressive codec / best tuned pixel codec"
CHANCE = "agreement of the same answers about every photo (chance)"
PIXELS_WIN = "Where pixels win: "
"""How a note about that begins."""
