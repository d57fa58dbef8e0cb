"""Pixel inputs of every family at a tiny size, by what its ``get_image_features`` takes.

The families' own processors would need their tokenizers, which are on the hub. What matters here is the border between
pixels and tokens: random pixels of the shapes that the processors make, and as many placeholders as there are tokens.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.vlm.families.shrink import PATCHES
from heliograph.vlm.tap import METHOD

Pixels = dict[str, Any]
TEXT_BEFORE, TEXT_BETWEEN, QUESTION = 5, 6, (7, 8, 3)
GREY = 0.1

_SMALL, _WIDE = (2, 2), (2, 3)  # photos in units of merged patches, rows and columns


@dataclass(frozen=True)
class PixelShapes:
    """Sizes that pixel inputs depend on, read from a configuration."""

    patch: int
    temporal: int
    channels: int
    merge: int
    side: int

    @classmethod
    def of(cls, config: Any) -> PixelShapes:
        """Shapes from a family's configuration; its vision part first."""
        vision = config
        for name in ("vision_config", "encoder", "vq_config"):
            if getattr(config, name, None) is not None:
                vision = getattr(config, name)
                break
        vision = getattr(vision, "vision_config", vision)
        patch = _first(vision, ("patch_size", "spatial_patch_size"), 14)
        return cls(
            patch=patch,
            temporal=_first(vision, ("temporal_patch_size", "patch_temporal"), 1),
            channels=_first(vision, ("in_channels", "in_chans", "num_channels"), 3),
            merge=_first(vision, ("spatial_merge_size", "merge_size"), 2),
            side=_first(vision, ("image_size",), PATCHES * patch),
        )


def _first(config: Any, names: tuple[str, ...], default: int) -> int:
    for name in names:
        value = getattr(config, name, None)
        if value is not None:
            return int(value if isinstance(value, int) else value[0])
    return default


def pixel_inputs(kind: str, owner: nn.Module, config: Any, photos: int, *, varied: bool, seed: int) -> Pixels:
    """Inputs of so many photos; ``varied`` gives them different sizes or several tiles where the family can."""
    shapes = PixelShapes.of(config)
    generator = torch.Generator().manual_seed(seed)

    def noise(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator)

    wanted = frozenset(inspect.signature(getattr(type(owner), METHOD)).parameters)
    build = _BY_KIND.get(kind) or next((made for needs, made in _BY_ARGUMENT if needs in wanted), _plain)
    return build(shapes, photos, varied, noise)


def blank(pixels: Mapping[str, Any]) -> Pixels:
    """The same sizes in grey; never zeros, which some families take for padding."""
    return {k: torch.full_like(v, GREY) if v.is_floating_point() else v for k, v in pixels.items()}


Noise = Callable[..., Tensor]


def _plain(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    return {"pixel_values": noise(photos, 3, shapes.side, shapes.side)}


def _packed(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """Patches of all photos in one sequence, with a grid for each."""
    grids = [(1, *(side * shapes.merge for side in (_WIDE if varied and i % 2 else _SMALL))) for i in range(photos)]
    patches = sum(t * h * w for t, h, w in grids)
    width = shapes.channels * shapes.temporal * shapes.patch**2
    return {"pixel_values": noise(patches, width), "image_grid_thw": torch.tensor(grids)}


def _square_patches(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """The same with every patch as a little picture."""
    made = _packed(shapes, photos, varied, noise)
    side = (3, shapes.patch, shapes.patch)
    return {**made, "pixel_values": noise(len(made["pixel_values"]), *side)}


def _frames(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """(1, frames, 3, H, W) with a mask of pixels."""
    frames = photos + int(varied)
    side = shapes.side
    mask = torch.ones(1, frames, side, side, dtype=torch.long)
    return {"pixel_values": noise(1, frames, 3, side, side), "pixel_attention_mask": mask}


def _tile_mask(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    made = _frames(shapes, photos, varied, noise)
    return {**made, "pixel_attention_mask": torch.ones(made["pixel_values"].shape[:2], dtype=torch.bool)}


def _padded_patches(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """(photos, patches, values) with the grid of each photo."""
    grids = [(4, 2) if varied and i % 2 else (4, 4) for i in range(photos)]
    mask = torch.zeros(photos, 16, dtype=torch.long)
    for row, (height, width) in enumerate(grids):
        mask[row, : height * width] = 1
    pixels = noise(photos, 16, 3 * shapes.patch**2)
    return {"pixel_values": pixels, "spatial_shapes": torch.tensor(grids), "pixel_attention_mask": mask}


def _sized(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    made = _plain(shapes, photos, varied, noise)
    return {**made, "image_sizes": torch.tensor([[shapes.side, shapes.side]] * photos)}


def _tiled(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """A view of the whole and two tiles of each photo; ``varied`` makes every other photo tall."""
    side = shapes.side
    sizes = [[2 * side, side] if varied and i % 2 else [side, 2 * side] for i in range(photos)]
    return {"pixel_values": noise(photos, 3, 3, side, side), "image_sizes": torch.tensor(sizes)}


def _positions(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """Flattened patches with the place of each."""
    side = 6
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    places = torch.stack([columns, rows], dim=-1).reshape(1, -1, 2).repeat(photos, 1, 1)
    return {"pixel_values": noise(photos, side * side, 3 * shapes.patch**2), "image_position_ids": places}


def _merged(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    made = _packed(shapes, photos, varied, noise)
    return {**made, "image_merge_sizes": torch.tensor([shapes.merge] * photos)}


def _with_question(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """Inputs of families whose tokens depend on the question."""
    made = _plain(shapes, photos, varied, noise)
    ids = torch.tensor([QUESTION] * photos)
    return {**made, "qformer_input_ids": ids, "qformer_attention_mask": torch.ones_like(ids)}


def _two_sizes(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    made = _plain(shapes, photos, varied, noise)
    return {**made, "high_res_pixel_values": noise(photos, 3, shapes.side, shapes.side)}


def _one_strip(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """Patches of all photos side by side in one picture, with a grid for each."""
    grids = [(4, 8) if varied and i % 2 else (4, 4) for i in range(photos)]
    patches = sum(height * width for height, width in grids)
    strip = noise(1, 3, shapes.patch, shapes.patch * patches)
    return {"pixel_values": strip, "target_sizes": torch.tensor(grids, dtype=torch.int32)}


def _packed_flat(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """Like ``_packed``, with grids of height and width."""
    made = _packed(shapes, photos, varied, noise)
    return {"pixel_values": made["pixel_values"], "image_grid_hw": made["image_grid_thw"][:, 1:]}


def _cubes(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    """(patches, time, height, width, channels); one token each."""
    return {"pixel_values": noise(4 * photos, shapes.temporal, shapes.patch, shapes.patch, shapes.channels)}


def _flat_patches(shapes: PixelShapes, photos: int, varied: bool, noise: Noise) -> Pixels:
    return {"pixel_values": noise(photos, PATCHES**2, 3 * shapes.patch**2)}


_BY_KIND: dict[str, Callable[[PixelShapes, int, bool, Noise], Pixels]] = {
    "llava": _plain,
    "llava_next": _tiled,
    "llava_next_video": _tiled,
    "llava_onevision": _tiled,
    "granite4_vision": _tiled,
    "kimi_k25": _square_patches,
    "paddleocr_vl": _square_patches,
    "granite_docling": _tile_mask,
    "inkling_mm_model": _cubes,
    "fuyu": _flat_patches,
}
_BY_ARGUMENT: tuple[tuple[str, Callable[[PixelShapes, int, bool, Noise], Pixels]], ...] = (
    ("qformer_input_ids", _with_question),
    ("high_res_pixel_values", _two_sizes),
    ("target_sizes", _one_strip),
    ("image_grid_hw", _packed_flat),
    ("image_merge_sizes", _merged),
    ("image_grid_thw", _packed),
    ("spatial_shapes", _padded_patches),
    ("pixel_attention_mask", _frames),
    ("image_position_ids", _positions),
    ("image_sizes", _sized),
)


def prompt_ids(config: Any, counts: Sequence[int], placeholder: int) -> Tensor:
    """(1, L) ids with so many placeholders for each photo, and a question."""
    start = getattr(config, "vision_start_token_id", None)
    ids = [TEXT_BEFORE]
    for count in counts:
        ids += [*([start] if isinstance(start, int) else []), *([placeholder] * count), TEXT_BETWEEN]
    return torch.tensor([[*ids, *QUESTION]])
