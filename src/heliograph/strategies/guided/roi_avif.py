"""``roi-avif``: an AVIF of a picture that is blurred where the photo matters less.

::

    photo --map--> the pixels that matter most, ``area`` percent of them, as they are; a Gaussian blur over the others
                   --libaom--> file --bare--> slices

Classical region-of-interest coding, by pixels: Pillow hands libaom no map of qualities.
"""

from __future__ import annotations

from typing import ClassVar

from heliograph.strategies.base import Setting
from heliograph.strategies.baseline.bare import BareAvifStrategy
from heliograph.strategies.guided.blurring import BlurringStrategy
from heliograph.strategies.guided.relevance import Guide


class RoiAvifStrategy(BlurringStrategy, BareAvifStrategy):
    """Stream: as of ``avif-bare``. Knobs: see :class:`heliograph.strategies.guided.blurring.BlurringStrategy`."""

    name: ClassVar[str] = "roi-avif"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 60, "area": 40, "blur": 25, "guide": Guide.AUTO.value}
