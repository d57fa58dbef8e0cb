"""The checkpoint's image processor in Pillow and numpy: same pixels to the last bit, no transformers.

Follows ``Idefics3ImageProcessorPil`` of transformers 5.23 with one frame per photo::

    RGB (W, H) --longest edge to ``size``, aspect kept, Lanczos--> --squash to S x S, Lanczos--> uint8
               --* rescale_factor in float64--> float32 --(x - mean) / std--> (1, 3, S, S) float32

A photo that is not square is squashed, not padded, so the 8 x 8 tokens always cover all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from heliograph.edge.preprocessing.checks import RESAMPLERS, finite, side, whole
from heliograph.errors import BundleDamagedError, ModelUnsupportedError
from heliograph.reasons import BundlePart, FileFault
from heliograph.strategies.baseline.pictures import longest_edge_size, to_rgb
from heliograph.types import FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image

_NEEDED_STEPS = ("do_convert_rgb", "do_resize", "do_rescale", "do_normalize")
_LANCZOS = 1


@dataclass(frozen=True)
class Preprocessor:
    """One checkpoint's preprocessing.

    Attributes:
        longest_edge: pixels after the first resize.
        input_size: S, the side of the model's input in pixels.
        resample: Pillow's resampling filter number.
        rescale_factor: multiplies the 8-bit levels.
        mean: per channel (R, G, B), subtracted after rescaling.
        std: per channel, divides the difference.
    """

    longest_edge: int
    input_size: int
    resample: int
    rescale_factor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read the content of a checkpoint's ``preprocessor_config.json``.

        Raises:
            ModelUnsupportedError: the checkpoint splits photos into tiles or leaves out a step.
            BundleDamagedError: a value is missing or out of range.
        """
        if config.get("do_image_splitting", True):
            raise ModelUnsupportedError().noted("its preprocessor_config.json splits photos into tiles.")
        left_out = [step for step in _NEEDED_STEPS if not config.get(step, True)]
        if left_out:
            raise ModelUnsupportedError().noted(f"its preprocessor_config.json turns off {', '.join(left_out)}.")
        try:
            return cls(
                longest_edge=side(config["size"]["longest_edge"]),
                input_size=side(config["max_image_size"]["longest_edge"]),
                resample=whole(RESAMPLERS, config.get("resample", _LANCZOS)),
                rescale_factor=finite(config.get("rescale_factor", 1 / 255)),
                mean=_per_channel(config["image_mean"]),
                std=_nonzero(_per_channel(config["image_std"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleDamagedError(BundlePart.PREPROCESSING, FileFault.CONTENT) from error

    def pictures(self, photo: Image) -> tuple[Image, ...]:
        """The one picture that the model reads of any photo, RGB of S x S pixels."""
        from PIL.Image import Resampling

        resample = Resampling(self.resample)
        rgb = to_rgb(photo)
        step = rgb.resize(longest_edge_size(*rgb.size, self.longest_edge), resample)
        return (step.resize((self.input_size, self.input_size), resample),)

    def __call__(self, photo: Image) -> FloatArray:
        """Pixels (1, 3, S, S) float32 of any photo; bit for bit what the checkpoint's processor makes."""
        (picture,) = self.pictures(photo)
        levels = np.asarray(picture)  # (S, S, 3) uint8
        rescaled = (levels.astype(np.float64) * self.rescale_factor).astype(np.float32)
        normalised = (rescaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def _per_channel(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (finite(value) for value in values)
    return red, green, blue


def _nonzero(values: tuple[float, float, float]) -> tuple[float, float, float]:
    if not all(values):
        raise ValueError("a divisor is zero")
    return values
