"""Heliograph: answers of a large vision-language model over a thin uplink, for the fewest bytes.

Importing this package imports nothing else: rooms load when they are used.
"""

__version__ = "0.1.0"
