"""Outputs of ``get_image_features`` taken apart and put together again, whatever containers a family uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.vlm.image_features import layout_of, output_with, tokens_of


@dataclass
class Output:
    """As transformers' output objects: dataclasses whose fields may be empty."""

    last_hidden_state: Any = None
    pooler_output: Any = None
    deepstack_features: Any = None
    visual_indicator_features: Any = None


def made(*shape: int) -> Tensor:
    return torch.randn(*shape)


CASES = {
    "batch": (lambda: Output(pooler_output=made(2, 3, 4)), (6, 4)),
    "packed": (lambda: Output(pooler_output=made(6, 4)), (6, 4)),
    "list of photos": (lambda: Output(pooler_output=[made(2, 4), made(4, 4)]), (6, 4)),
    "tuple of photos": (lambda: Output(pooler_output=(made(2, 4), made(4, 4))), (6, 4)),
    "deepstack": (lambda: Output(pooler_output=made(6, 4), deepstack_features=[made(6, 4), made(6, 4)]), (6, 12)),
    "deepstack by photo": (
        lambda: Output(pooler_output=(made(2, 4), made(4, 4)), deepstack_features=[(made(2, 5), made(4, 5))]),
        (6, 9),
    ),
    "before the projector": (lambda: Output(last_hidden_state=made(2, 3, 7)), (6, 7)),
    "a tensor alone": (lambda: made(1, 6, 4), (6, 4)),
}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, (list, tuple)):
        return type(first) is type(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    if isinstance(first, Output):
        return all(same(getattr(first, name), getattr(second, name)) for name in vars(first))
    return bool(first == second)


@pytest.mark.parametrize("name", CASES)
def test_tokens_go_through_another_photos_layout(name: str) -> None:
    build, shape = CASES[name]
    photo, other = build(), build()
    tokens, layout = tokens_of(photo), layout_of(other)
    assert tuple(tokens.shape) == shape == (layout.rows, layout.width)
    assert not same(photo, other)
    assert same(output_with(tokens, layout), photo)


def test_what_is_the_same_for_every_photo_comes_from_the_layout() -> None:
    constant = made(5, 4)
    photo = Output(pooler_output=made(1, 6, 4), visual_indicator_features=constant, last_hidden_state=made(1, 9, 4))
    other = Output(pooler_output=made(1, 6, 4), visual_indicator_features=constant)
    back = output_with(tokens_of(photo), layout_of(other))
    assert torch.equal(back.pooler_output, photo.pooler_output)
    assert torch.equal(back.visual_indicator_features, constant)
    assert back.last_hidden_state is None


def test_tokens_take_the_models_precision() -> None:
    layout = layout_of(Output(pooler_output=made(6, 4).bfloat16()))
    assert output_with(made(6, 4), layout).pooler_output.dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(5, 4), (6, 3), (24,), (0, 4)])
def test_other_rows_or_channels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        output_with(made(*shape), layout_of(made(1, 6, 4)))


def test_an_output_without_tokens_is_refused() -> None:
    for output in (Output(), Output(pooler_output=[])):
        with pytest.raises(ModelUnsupportedError):
            tokens_of(output)
