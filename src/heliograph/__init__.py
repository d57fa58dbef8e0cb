"""Heliograph: answers of a large vision-language model over a thin uplink, for the fewest bytes.

Importing this package imports nothing else: rooms load when they are used.
"""

import os

# Official builds of ONNX Runtime, from 1.32 on Linux too, report their use to their maker over the network unless this
# is set before they load. Nothing goes over a device's link that nobody asked for. A value that is set already stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
