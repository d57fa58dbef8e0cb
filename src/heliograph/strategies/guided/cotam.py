"""``cotam``: bits by the attention that each place gets in the vision tower's first layer; AVIF carries them.

::

    photo --first layer of the tower--> attention that each patch gets --> score of every pixel, 0 to 1
                   --blur by sigma = 0.5 x (sigma_max / 0.5) ** (1 - score)--> picture --libaom--> file --bare--> slices

After arXiv 2509.24258, of which no more was known than that importance comes from shallow layers of the encoder and
decides where bits go. There the layers are CLIP's and a trained adapter stands behind the decoder; here they are those
of the bundle's own tower, nothing is trained, and since no encoder at hand takes a map of qualities, bits are taken by
blurring first, as in ``prefilter``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundlePart, FileFault
from heliograph.strategies.base import DeviceTools, Setting, int_knob
from heliograph.strategies.baseline.bare import BareAvifStrategy
from heliograph.strategies.guided.picture import GuidedPictureStrategy
from heliograph.strategies.guided.relevance import spread
from heliograph.strategies.guided.softening import MAX_SIGMA, scores, softened
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image


class CotamStrategy(GuidedPictureStrategy, BareAvifStrategy):
    """Stream: as of ``avif-bare``; restored without a bundle, though the device needs one. Knobs: ``size``,
    ``quality``; ``sigma``, the largest standard deviation in pixels."""

    name: ClassVar[str] = "cotam"
    default_setting: ClassVar[Setting] = {"size": 512, "quality": 60, "sigma": 8}
    guidance: ClassVar[tuple[Setting, ...]] = ({"sigma": 1}, {"sigma": 3}, {"sigma": 8})
    paper: ClassVar[str | None] = "2509.24258"

    def asks(self, setting: Setting) -> bool:
        """Never: no question has any influence."""
        return False

    def _relevance(self, photo: Image, tools: DeviceTools, setting: Setting) -> FloatArray:
        """Raises ModelUnsupportedError where the bundle's encoder does not show its attention."""
        if tools.sight is None:
            raise BundleDamagedError(BundlePart.BUNDLE, FileFault.MISSING)
        return tools.sight.shallow_map(photo)

    def _guiding(self, setting: Setting) -> Callable[[Image, FloatArray], Image]:
        sigma = int_knob(setting, "sigma", 1, MAX_SIGMA)
        return lambda picture, found: softened(picture, spread(scores(found), *picture.size), sigma)
