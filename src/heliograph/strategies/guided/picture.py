"""What the strategies of this room share: a picture with less detail where it matters less, in a bare container.

::

    DEVICE  photo --relevance--> map (rows, columns) -.
            photo --shrunk to size--> picture --less detail where the map is low--> file --bare--> slices ==> CLOUD
    CLOUD   slices --bare--> file --decoder of the format--> picture --> the model's own image processor

The files are ordinary ones. They travel as those of ``jpeg-bare``, ``webp-bare`` and ``avif-bare`` do, which is smaller
than the file itself at every size and quality.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from heliograph.strategies.base import DeviceTools, Family, Setting, int_knob
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE, shrunk, to_rgb
from heliograph.strategies.baseline.pixels import PictureStrategy
from heliograph.strategies.guided.relevance import Guide, guide_of, relevance
from heliograph.types import EncodedImage, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image


class GuidedPictureStrategy(PictureStrategy):
    """Knobs: ``size`` and ``quality`` as everywhere; ``guide``, what tells where the photo matters; and what each
    strategy adds."""

    family: ClassVar[Family] = Family.GUIDED

    def asks(self, setting: Setting) -> bool:
        """Where the question guides, every question needs a stream of its own."""
        return guide_of(self.complete_setting(setting)["guide"]) is Guide.QUESTION

    def encode(self, photo: Image, tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The photo as a file; never enlarged.

        Raises:
            UsageError: a knob is unknown or out of range.
            BundleDamagedError: the guide needs a bundle, and there is none or it cannot be run.
        """
        completed = self.complete_setting(setting)
        size = int_knob(completed, "size", 1, MAX_PICTURE_SIDE)
        quality = int_knob(completed, "quality", 1, 100)
        rgb, guided = to_rgb(photo), self._guiding(completed)
        return self._encoded(guided(shrunk(rgb, size), self._relevance(rgb, tools, completed)), quality)

    def _relevance(self, photo: Image, tools: DeviceTools, setting: Setting) -> FloatArray:
        """(rows, columns) over the whole photo."""
        return relevance(photo, tools, guide_of(setting["guide"]))

    @abstractmethod
    def _guiding(self, setting: Setting) -> Callable[[Image, FloatArray], Image]:
        """What makes of an RGB picture one with less detail where a map (rows, columns) is low.

        Raises:
            UsageError: a knob is out of range.
        """
