"""A vision tower behind its first layers: embedded patches, or states between its blocks, in place of pixels.

::

    photo of noise --own processor, tower--> what the first layer reads, T tiles (T, 3, H, W)
                   which tile is which part of the photo, and which number stands for which level
    embedded (T, rows, columns, d) --in place of that layer's results--> rest of the tower, projector --> tokens (N, D)
    states (T, P, d) --in place of a block's results (:mod:`heliograph.vlm.tower_blocks`)--> likewise

No family is known here. A tower qualifies if exactly one layer of the model takes three channels, and that is a
convolution whose patches neither overlap nor leave gaps; whatever it adds to them (positions, a class token) stays its
own affair. The layer is entered as the tap is: for the time of a call its instance's ``forward`` is another one, and no
weight or class of the model changes. The levels of pixels are recognised as the encoder's export does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.strategies.towers import GREY
from heliograph.types import FloatArray, VisualTokens
from heliograph.vlm.tap import intercepted
from heliograph.vlm.tower_blocks import TowerBlocks, find_blocks

Size = tuple[int, int]
Run = Callable[[Image.Image], Any]

_COLOURS, _WHITE = 3, 255
_FORWARD = "forward"
_SEED = 20_261


class _SeenError(Exception):
    """Ends a pass once the first layer has been given its pixels."""


@dataclass(frozen=True, eq=False)
class TorchPatchReader:
    """A :class:`heliograph.strategies.base.PatchReader` of a model.

    Attributes:
        pictures, tiles, patches, weight, bias: as there.
        layer: the first one.
        blank: a pass over a photo of this size that shows nothing.
        inner: its blocks.
    """

    pictures: tuple[Size, ...]
    tiles: tuple[tuple[int, int, int], ...]
    patches: tuple[int, int]
    weight: FloatArray
    bias: FloatArray
    layer: nn.Conv2d
    blank: Callable[[], VisualTokens]
    inner: TowerBlocks

    @property
    def blocks(self) -> int:
        """Blocks that it can be entered behind; 0 where none are found."""
        return max(0, len(self.inner.modules) - 1)

    def grey_states(self, block: int) -> FloatArray:
        """(T, P, d) float32: what the first ``block`` blocks make of a grey photo.

        Raises:
            ModelUnsupportedError: there are not more than so many blocks.
        """
        return self.inner.grey_states(block)

    def tokens_behind(self, block: int, states: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32, of states (T, P, d) float32 behind so many blocks.

        Raises:
            ModelUnsupportedError: there are not more than so many blocks.
            ShapeError: another shape.
            AnsweringFailedError: the tower gives values that are no tokens, or the checkpoint has damaged weights.
        """
        return self.inner.tokens_behind(block, states)

    def tokens(self, embedded: FloatArray) -> VisualTokens:
        """Visual tokens (N, D) float32.

        Args:
            embedded: (T, rows, columns, d) float32.

        Raises:
            ShapeError: another shape.
            AnsweringFailedError: the tower gives values that are no tokens, or the checkpoint has damaged weights.
        """
        expected = (len(self.tiles), *self.patches, len(self.bias))
        if embedded.shape != expected:
            raise ShapeError().noted(f"embedded patches have the shape {expected}, not {embedded.shape}.")
        made = torch.from_numpy(embedded).permute(0, 3, 1, 2).to(self.layer.weight)  # (T, d, rows, columns)
        with intercepted(self.layer, lambda original, pixels: made, _FORWARD):
            return self.blank()


def open_patch_reader(
    model: nn.Module, size: Size, run: Run, blank: Callable[[], VisualTokens], resample: int
) -> TorchPatchReader:
    """The reader for photos of one size.

    Args:
        model: with one vision tower.
        size: (width, height) in pixels.
        run: a pass of processor and tower over a photo.
        blank: a pass over a photo of this size that shows nothing, without its pixels where that is quicker.
        resample: Pillow's filter number, for the whole in small beside its tiles.

    Raises:
        ModelUnsupportedError: the tower does not begin with an affine map of patches, or the processor changes the
            pixels of photos of this size.
    """
    layer = first_layer(model)
    black, white = (_read(layer, run, Image.new("RGB", size, (level,) * _COLOURS)) for level in (0, _WHITE))
    noise = Image.fromarray(np.random.default_rng(_SEED).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    seen = _read(layer, run, noise)
    if not seen.shape == black.shape == white.shape or not _flat(black) or not _flat(white):
        raise _changed(size)
    low, step = black[:1, :, :1, :1], (white - black)[:1, :, :1, :1] / _WHITE
    levels = np.rint((seen - low) / step)  # (T, 3, H, W)
    pictures, tiles = _placed(levels, noise, resample)
    weight = layer.weight.detach().float().cpu().numpy()  # (d, 3, P, P)
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().float().cpu().numpy()
    patch = weight.shape[-1]
    rows, columns = levels.shape[2] // patch, levels.shape[3] // patch
    grey = Image.new("RGB", size, GREY)
    return TorchPatchReader(
        pictures=pictures,
        tiles=tiles,
        patches=(rows, columns),
        weight=np.ascontiguousarray(weight * step[0, :, :, :]),
        bias=bias + np.einsum("dcyx,c->d", weight, low[0, :, 0, 0]),
        layer=layer,
        blank=blank,
        inner=find_blocks(model, lambda: run(grey), blank, rows * columns),
    )


def first_layer(model: nn.Module) -> nn.Conv2d:
    """The one layer that reads pixels.

    Raises:
        ModelUnsupportedError: there is none such, or several, or one that is no map of separate square patches.
    """
    reads = [one for one in model.modules() if getattr(one, "in_channels", None) == _COLOURS]
    if len(reads) == 1 and isinstance(reads[0], nn.Conv2d) and _separate(reads[0]):
        return reads[0]
    raise ModelUnsupportedError().noted(
        "its vision tower does not begin with one affine map of separate square patches: send pictures or tokens."
    )


def _separate(layer: nn.Conv2d) -> bool:
    height, width = layer.kernel_size
    plain = layer.padding in ("valid", 0, (0, 0)) and layer.dilation == (1, 1) and layer.groups == 1
    return height == width and layer.stride == layer.kernel_size and plain


def _read(layer: nn.Conv2d, run: Run, photo: Image.Image) -> FloatArray:
    """(T, 3, H, W) float32 that the layer is given of a photo."""
    seen: list[Tensor] = []

    def stop(original: Any, pixels: Tensor) -> Any:
        seen.append(pixels)
        raise _SeenError

    try:
        with intercepted(layer, stop, _FORWARD):
            run(photo)
    except _SeenError:
        return np.asarray(seen[0].detach().float().cpu().numpy(), np.float32)
    raise ModelUnsupportedError().noted("its vision tower makes tokens without its first layer.")


def _flat(values: FloatArray) -> bool:
    """Whether all numbers of a colour are one."""
    return bool((values == values[:1, :, :1, :1]).all())


def _placed(
    levels: FloatArray, photo: Image.Image, resample: int
) -> tuple[tuple[Size, ...], tuple[tuple[int, int, int], ...]]:
    """The pictures that tiles are parts of, and where each tile lies.

    Raises:
        ModelUnsupportedError: a tile is no part of the photo or of the photo in small.
    """
    height, width = levels.shape[2:]
    shown = [np.asarray(photo).transpose(2, 0, 1)]
    if (width, height) != photo.size:
        shown.append(np.asarray(photo.resize((width, height), resample)).transpose(2, 0, 1))
    found = [_place(tile, shown) for tile in levels]
    used = sorted({picture for picture, _, _ in found})
    sizes = tuple((shown[picture].shape[2], shown[picture].shape[1]) for picture in used)
    return sizes, tuple((used.index(picture), left, top) for picture, left, top in found)


def _place(tile: FloatArray, shown: list[np.ndarray]) -> tuple[int, int, int]:
    height, width = tile.shape[1:]
    for picture, whole in enumerate(shown):
        for top in range(0, whole.shape[1] - height + 1, height):
            for left in range(0, whole.shape[2] - width + 1, width):
                if np.array_equal(tile, whole[:, top : top + height, left : left + width]):
                    return picture, left, top
    raise _changed((shown[0].shape[2], shown[0].shape[1]))


def _changed(size: Size) -> ModelUnsupportedError:
    return ModelUnsupportedError().noted(
        f"its processor changes pixels of a photo of {size[0]}x{size[1]}, so that no coefficients can stand for them."
    )
