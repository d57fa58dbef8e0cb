"""``roi-webp``: a WebP of a picture that is blurred where the photo matters less.

::

    photo --map--> the pixels that matter most, ``area`` percent of them, as they are; a Gaussian blur over the others
                   --libwebp--> file --bare--> slices

Classical region-of-interest coding, by pixels: no encoder at hand takes a map of qualities. What is smooth costs few
bits at any quality.
"""

from __future__ import annotations

from typing import ClassVar

from heliograph.strategies.base import Setting
from heliograph.strategies.baseline.bare import BareWebpStrategy
from heliograph.strategies.guided.blurring import BlurringStrategy
from heliograph.strategies.guided.relevance import Guide


class RoiWebpStrategy(BlurringStrategy, BareWebpStrategy):
    """Stream: as of ``webp-bare``. Knobs: see :class:`heliograph.strategies.guided.blurring.BlurringStrategy`."""

    name: ClassVar[str] = "roi-webp"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 75, "area": 40, "blur": 25, "guide": Guide.AUTO.value}
