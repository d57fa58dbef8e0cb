"""``roi-jpeg``: a JPEG that keeps its fine coefficients only where the photo matters. A legal file for any decoder.

::

    photo --map--> the 16 x 16 units of the picture that matter most, ``area`` percent of them: all coefficients
                   the others: the mean and the first ``cut`` AC coefficients of every block
                   --libjpeg--> file --bare--> slices

Classical region-of-interest coding. JPEG has one quality for a whole file, so detail is taken by coefficients and not
by steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from heliograph.strategies.base import Setting, int_knob
from heliograph.strategies.baseline.bare import BareJpegStrategy
from heliograph.strategies.guided.coefficients import LAST, cut_outside, units_of
from heliograph.strategies.guided.picture import GuidedPictureStrategy
from heliograph.strategies.guided.relevance import Guide, kept
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image


class RoiJpegStrategy(GuidedPictureStrategy, BareJpegStrategy):
    """Stream: as of ``jpeg-bare``.

    Knobs: ``size``, ``quality``, ``guide``; ``area``, the percent of the picture that keeps every coefficient;
    ``cut``, the last AC coefficient that is kept elsewhere, in zigzag order, 0 for none and 63 for all.
    """

    name: ClassVar[str] = "roi-jpeg"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 75, "area": 40, "cut": 5, "guide": Guide.AUTO.value}
    guidance: ClassVar[tuple[Setting, ...]] = ({"area": 30, "cut": 5}, {"area": 50, "cut": 2}, {"area": 50, "cut": 5})

    def _guiding(self, setting: Setting) -> Callable[[Image, FloatArray], Image]:
        area, cut = int_knob(setting, "area", 1, 100), int_knob(setting, "cut", 0, LAST)
        quality = int_knob(setting, "quality", 1, 100)
        return lambda picture, found: cut_outside(picture, kept(found, *units_of(picture), area), cut, quality)
