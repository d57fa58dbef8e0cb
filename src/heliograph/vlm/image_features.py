"""What ``get_image_features`` returns, as visual tokens and back: the same for every family.

::

    output --tokens_of--> (rows, width) --wire--> (rows, width) --output_with(layout of a blank photo)--> output

Families return a tensor, a list with one tensor per photo, or an output object of either. Levels that the language
model adds to deeper layers (deepstack) have as many rows as the tokens themselves and travel beside them, as more
channels. Everything else in the output is the same for every photo and is taken from that of a blank one, which the
receiver makes with the model's own tower and keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from heliograph.errors import ModelUnsupportedError, ShapeError

_TOKENS, _BEFORE_PROJECTOR = "pooler_output", "last_hidden_state"
CARRIED = (_TOKENS, "deepstack_features")
"""Fields of an output object that may depend on the photo and are read by a language model."""
KEPT = (*CARRIED, "visual_indicator_features")
"""These, and those that are the same for every photo."""


@dataclass(frozen=True)
class FeatureLayout:
    """How one output is built; everything but the tokens' values.

    Attributes:
        sample: an output with the wanted shapes, whose tokens are replaced.
        rows: tokens in all.
        widths: channels of each level, the tokens' own first.
    """

    sample: Any
    rows: int
    widths: tuple[int, ...]

    @property
    def width(self) -> int:
        """Channels of one transmitted token."""
        return sum(self.widths)


def layout_of(output: Any) -> FeatureLayout:
    """The layout of an output.

    Raises:
        ModelUnsupportedError: it holds no tokens.
    """
    levels = _levels(output)
    return FeatureLayout(output, levels[0].shape[0], tuple(level.shape[1] for level in levels))


def without_values(layout: FeatureLayout) -> FeatureLayout:
    """The same layout with the shapes of a sample's tokens and none of their values: it takes next to no memory."""
    sample = layout.sample
    if not is_dataclass(sample) or isinstance(sample, type):
        return replace(layout, sample=_mapped(sample, _shape_alone))
    carried = _carried(sample)
    known = {field.name for field in fields(sample)}
    made = {name: getattr(sample, name, None) for name in {*KEPT, *carried} & known}
    slim = {
        name: _mapped(value, _shape_alone) if name in carried else value
        for name, value in made.items()
        if value is not None
    }
    return replace(layout, sample=type(sample)(**slim))


def tokens_of(output: Any) -> Tensor:
    """(rows, width) tokens of an output: of all photos, one after another, levels side by side.

    Raises:
        ModelUnsupportedError: it holds no tokens.
    """
    return torch.cat(_levels(output), dim=1)


def output_with(tokens: Tensor, layout: FeatureLayout) -> Any:
    """An output of that layout with other tokens.

    Args:
        tokens: (rows, width), of any float dtype.
        layout: of a photo of the same size.

    Raises:
        ShapeError: other rows or width.
    """
    if tuple(tokens.shape) != (layout.rows, layout.width):
        raise ShapeError().noted(
            f"the output has tokens of shape {(layout.rows, layout.width)}, not {tuple(tokens.shape)}."
        )
    levels = iter(torch.split(tokens, list(layout.widths), dim=1))

    def refill(value: Any) -> Any:
        """The same containers; the next level's rows in place of each stretch of as many."""
        return _refilled(value, levels, layout.rows)

    sample = layout.sample
    if not is_dataclass(sample) or isinstance(sample, type):
        return refill(sample)
    carried = _carried(sample)
    made = {name: getattr(sample, name, None) for name in {*KEPT, *carried}}
    made = {name: refill(made[name]) for name in carried if made[name] is not None} | {
        name: value for name, value in made.items() if name not in carried and value is not None
    }
    known = {field.name for field in fields(sample)}
    return type(sample)(**{name: value for name, value in made.items() if name in known})


def _levels(output: Any) -> list[Tensor]:
    """(rows, D) of each level."""
    parts = [output] if not is_dataclass(output) else [getattr(output, name, None) for name in _carried(output)]
    levels: list[Tensor] = []
    rows = None
    for part in parts:
        for level in _stretches(part, rows):
            levels.append(level)
            rows = rows or level.shape[0]
    if not levels:
        raise ModelUnsupportedError().noted("its image features hold no tensor of tokens.")
    return levels


def _carried(output: Any) -> tuple[str, ...]:
    """Where a family's projector is part of its forward, tokens are what comes before it."""
    return CARRIED if getattr(output, _TOKENS, None) is not None else (_BEFORE_PROJECTOR,)


def _stretches(value: Any, rows: int | None) -> Iterator[Tensor]:
    """The levels in one field: all of it where it makes ``rows`` rows or nothing is known yet, else its entries."""
    if not _has_leaves(value):
        return
    flat = torch.cat([leaf.reshape(-1, leaf.shape[-1]) for leaf in _leaves(value)])
    if rows is None or flat.shape[0] == rows:
        yield flat
        return
    for entry in value:
        yield from _stretches(entry, rows)


def _has_leaves(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, (list, tuple)) and any(_has_leaves(one) for one in value))


def _leaves(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for one in value:
            yield from _leaves(one)


def _refilled(value: Any, levels: Iterator[Tensor], rows: int) -> Any:
    count = sum(leaf.numel() // leaf.shape[-1] for leaf in _leaves(value))
    if count != rows:
        return type(value)(_refilled(one, levels, rows) for one in value)
    level = next(levels)
    position = 0

    def take(leaf: Tensor) -> Tensor:
        nonlocal position
        size = leaf.numel() // leaf.shape[-1]
        part = level[position : position + size]
        position += size
        return part.reshape(leaf.shape).to(leaf)

    return _mapped(value, take)


def _shape_alone(leaf: Tensor) -> Tensor:
    return leaf.new_zeros(()).expand(leaf.shape)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return change(value) if isinstance(value, Tensor) else type(value)(_mapped(one, change) for one in value)
