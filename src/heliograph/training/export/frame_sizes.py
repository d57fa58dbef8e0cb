"""A model's own processor, asked with photos: what it makes of them, and which sizes it leaves as they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from heliograph.errors import EncoderNotExportableError
from heliograph.strategies.towers import GREY
from heliograph.training.export.pixel_reading import PixelReading, read_pixels
from heliograph.types import Grid
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.families.inputs import PixelShapes
from heliograph.vlm.tap import find_owner, intercepted

USUAL_SIZES = ((640, 480), (480, 640), (544, 544))
"""Landscape, portrait and square of as many pixels as tokens are wanted for: about 300 with patches of 32."""

_BICUBIC = 3
_UNITS = (28, 32, 16, 14, 48, 56, 64)  # sides of a token in pixels, of families that say nothing of it
_MAX_TILES = 40

_Size = tuple[int, int]


class OwnProcessor:
    """See the module.

    Args:
        model: whose processor, and whose ``get_image_features`` it feeds.
    """

    def __init__(self, model: TorchModel) -> None:
        self._model = model
        self.owner: nn.Module = find_owner(model.torch_model)
        resample = getattr(model.processor.image_processor, "resample", None)
        self.resample = int(resample) if resample is not None else _BICUBIC
        self._output = lru_cache(maxsize=8)(self._make_output)
        self.read = lru_cache(maxsize=64)(self._read)

    def grid(self, size: _Size) -> Grid:
        """How the tokens of photos of a size lie."""
        grid: Grid = self._output(size)[1]
        return grid

    def arguments(self, photo: Image.Image) -> Mapping[str, Any]:
        """What ``get_image_features`` is given for a photo; the tower itself runs once per size only."""
        output, _ = self._output(photo.size)
        given: dict[str, Any] = {}

        def note(original: Any, **named: Any) -> Any:
            given.update({name: value for name, value in named.items() if name not in given})
            return output

        with intercepted(self.owner, note):
            self._model.encode_image(photo)
        return {name: value.clone() if isinstance(value, Tensor) else value for name, value in given.items()}

    def _make_output(self, size: _Size) -> tuple[Any, Grid]:
        """An output of the tower, and the grid; the model looks at its own grey photo too, and one look is enough."""
        seen: list[Any] = []

        def keep(original: Any, **named: Any) -> Any:
            if not seen:
                seen.append(original(**named))
            return seen[0]

        with intercepted(self.owner, keep):
            tokens = self._model.encode_image(Image.new("RGB", size, GREY))
        return seen[0], tokens.grid

    def _read(self, size: _Size) -> PixelReading:
        """How photos of one size become pixels.

        Raises:
            EncoderNotExportableError: the processor changes photos of this size.
        """
        return read_pixels(self.arguments, size, self.resample)

    # ---- which sizes it keeps --------------------------------------------------------------------------
    def usual_sizes(self) -> tuple[_Size, ...]:
        """A size that it keeps for each of :data:`USUAL_SIZES`, as near as may be; families of one size have one.

        Raises:
            EncoderNotExportableError: it keeps none.
        """
        return tuple(dict.fromkeys(self._kept_near(size) for size in USUAL_SIZES))

    def _kept_near(self, size: _Size) -> _Size:
        for candidate in dict.fromkeys(self._candidates(size)):
            try:
                self.read(candidate)
            except EncoderNotExportableError:
                continue
            return candidate
        raise EncoderNotExportableError().noted(
            f"no size near {size[0]}x{size[1]} pixels passes its processor unchanged: name sizes (--size)."
        )

    def _candidates(self, size: _Size) -> Iterator[_Size]:
        """Sizes that the processor may have made of a photo of this one."""
        given = self.arguments(Image.new("RGB", size, GREY))
        pixels = [value for value in given.values() if isinstance(value, Tensor) and value.is_floating_point()]
        for value in sorted(pixels, key=torch.numel, reverse=True):
            if value.dim() >= 4:
                yield from _from_pictures(tuple(value.shape), size)
        for value in given.values():
            if isinstance(value, Tensor) and not value.is_floating_point() and value.shape in ((1, 2), (1, 3)):
                for patch in self._sides():
                    height, width = (int(count) * patch for count in value[0, -2:])
                    yield width, height
        yield size
        for unit in self._sides():
            yield _rounded(size[0], unit), _rounded(size[1], unit)

    def _sides(self) -> list[int]:
        """Sides of patches and tokens in pixels, as far as can be known."""
        shapes = PixelShapes.of(self._model.torch_model.config)
        return list(dict.fromkeys([shapes.patch, shapes.patch * shapes.merge, *_UNITS]))


def default_frames(model: TorchModel) -> tuple[_Size, ...]:
    """Sizes of frames for a model: landscape, portrait and square of about 640 x 480 pixels, or its one fixed size.

    Raises:
        EncoderNotExportableError: its processor keeps no size as it is.
    """
    if model.input_size is not None:
        return ((model.input_size, model.input_size),)
    return OwnProcessor(model).usual_sizes()


def _from_pictures(shape: tuple[int, ...], size: _Size) -> Iterator[_Size]:
    """One picture from (..., 3, height, width): the only one, or what its tiles make together."""
    height, width = shape[-2:]
    tiles = math.prod(shape[:-3])
    yield width, height
    found = [
        (columns * width, rows * height)
        for count in (tiles - 1, tiles)
        for columns in range(1, min(count, _MAX_TILES) + 1)
        for rows in [count // columns]
        if columns * rows == count
    ]
    yield from sorted(found, key=lambda one: abs(math.log(one[0] / one[1] * size[1] / size[0])))


def _rounded(side: int, unit: int) -> int:
    return max(1, round(side / unit)) * unit
