"""What ``roi-webp`` and ``roi-avif`` share: a region as it is, and a blur around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from heliograph.strategies.base import Setting, int_knob
from heliograph.strategies.guided.picture import GuidedPictureStrategy
from heliograph.strategies.guided.relevance import kept
from heliograph.strategies.guided.softening import blurred_outside
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_BLUR = 250
_PARTS = 1000


class BlurringStrategy(GuidedPictureStrategy):
    """Knobs: ``size``, ``quality``, ``guide``; ``area``, the percent of the picture that stays as it is; ``blur``, the
    standard deviation of the Gaussian elsewhere, in thousandths of the picture's longest edge, 0 for none."""

    guidance: ClassVar[tuple[Setting, ...]] = (
        {"area": 30, "blur": 12},
        {"area": 30, "blur": 25},
        {"area": 50, "blur": 25},
    )

    def _guiding(self, setting: Setting) -> Callable[[Image, FloatArray], Image]:
        area, blur = int_knob(setting, "area", 1, 100), int_knob(setting, "blur", 0, _MAX_BLUR)

        def guided(picture: Image, found: FloatArray) -> Image:
            return blurred_outside(picture, kept(found, *picture.size, area), blur * max(picture.size) / _PARTS)

        return guided
