"""``prefilter``: every pixel blurred by as much as the question, or the photo itself, cares little for it; then AVIF.

::

    photo --map--> score of every pixel, 0 to 1 --> sigma = 0.5 x (sigma_max / 0.5) ** (1 - score)
                   --Gaussian of 11 taps--> picture --libaom--> file --bare--> slices

After arXiv 2604.00314, whose formula and filter these are. There the score is a softmax over CLIP's cosines of a prompt
with overlapping tiles, and JPEG, HEIF or VVC follow; here it is a softmax over the map of this room, for no bundle
holds a CLIP, and the codec is that of the smallest files at equal agreement, ``avif-bare``. The blur is of the shrunk
picture, not of the photo.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from heliograph.strategies.base import Setting, int_knob
from heliograph.strategies.baseline.bare import BareAvifStrategy
from heliograph.strategies.guided.picture import GuidedPictureStrategy
from heliograph.strategies.guided.relevance import Guide, spread
from heliograph.strategies.guided.softening import MAX_SIGMA, scores, softened
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image


class PrefilterStrategy(GuidedPictureStrategy, BareAvifStrategy):
    """Stream: as of ``avif-bare``. Knobs: ``size``, ``quality``, ``guide``; ``sigma``, the largest standard deviation
    in pixels."""

    name: ClassVar[str] = "prefilter"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 60, "sigma": 8, "guide": Guide.AUTO.value}
    guidance: ClassVar[tuple[Setting, ...]] = ({"sigma": 1}, {"sigma": 3}, {"sigma": 8})
    paper: ClassVar[str | None] = "2604.00314"

    def _guiding(self, setting: Setting) -> Callable[[Image, FloatArray], Image]:
        sigma = int_knob(setting, "sigma", 1, MAX_SIGMA)
        return lambda picture, found: softened(picture, spread(scores(found), *picture.size), sigma)
