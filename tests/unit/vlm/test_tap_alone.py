"""Both taps on models of a few lines: who is asked for features, what of, and what is left behind."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.vlm.frame_tap import feed_image_features, find_tap
from heliograph.vlm.tap import METHOD, feed_output, find_owner, intercepted


class Frames(nn.Module):
    """Three tokens of two channels a frame, made of the sum of its pixels and of its mask."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[tuple[int, ...], list[float] | None, dict[str, Any]]] = []

    def get_image_features(self, pixel_values: Tensor, pixel_attention_mask: Tensor | None = None, **more: Any) -> Any:
        mask = None if pixel_attention_mask is None else pixel_attention_mask.flatten(2).sum(-1).flatten().tolist()
        self.asked.append((tuple(pixel_values.shape), mask, more))
        sums = pixel_values.flatten(2).sum(-1).flatten()  # (frames,)
        return SimpleNamespace(pooler_output=[sums.repeat_interleave(3)[:, None].expand(-1, 2)])

    def forward(self, pixel_values: Tensor) -> Any:
        return self.get_image_features(pixel_values)


def pixels_of(*values: list[float]) -> Tensor:
    """(B, frames, 1, 2, 2): every frame of one value, a quarter of it in each pixel."""
    return torch.tensor(values)[:, :, None, None, None].expand(-1, -1, 1, 2, 2) / 4


GIVEN = torch.tensor([[7.0, 8.0], [9.0, 7.0], [8.0, 9.0]])


def test_without_any_tokens_the_model_does_as_ever() -> None:
    model, pixels, mask = Frames(), pixels_of([4.0, 0.0, 8.0]), torch.ones(1, 3, 1, 2)
    with feed_image_features(model, [None, None]):
        model.get_image_features(pixels, mask, return_dict=True)
    assert model.asked == [((1, 3, 1, 2, 2), [2.0, 2.0, 2.0], {"return_dict": True})]  # the empty frame too


def test_frames_without_tokens_are_encoded_in_their_places() -> None:
    model, pixels = Frames(), pixels_of([4.0, 0.0, 8.0], [12.0, 16.0, 0.0])
    mask = torch.arange(6).reshape(2, 3, 1, 1).expand(2, 3, 1, 2)  # of frame k, twice k
    with feed_image_features(model, [None, GIVEN, GIVEN + 1, None]):
        first, second = model.get_image_features(pixels, mask, return_dict=True).pooler_output
    assert model.asked == [((1, 2, 1, 2, 2), [0.0, 8.0], {"return_dict": True})]  # frames 0 and 4
    assert torch.equal(first, torch.cat([torch.full((3, 2), 4.0), GIVEN]))
    assert torch.equal(second, torch.cat([GIVEN + 1, torch.full((3, 2), 16.0)]))


def test_a_mask_may_be_missing() -> None:
    model = Frames()
    with feed_image_features(model, [None, GIVEN]):
        (made,) = model.get_image_features(pixels_of([4.0, 8.0])).pooler_output
    assert model.asked == [((1, 1, 1, 2, 2), None, {})]
    assert torch.equal(made, torch.cat([torch.full((3, 2), 4.0), GIVEN]))


def test_nothing_is_encoded_where_all_is_given_and_nothing_changes_where_nothing_is() -> None:
    model = Frames()
    with feed_image_features(model, [GIVEN]):
        assert torch.equal(model.get_image_features(pixels_of([4.0])).pooler_output[0], GIVEN)
    assert not model.asked
    with feed_image_features(model, [None, None]):
        model.get_image_features(pixels_of([4.0, 8.0]), None, more=1)
    assert model.asked == [((1, 2, 1, 2, 2), None, {"more": 1})]


@pytest.mark.parametrize("features", [[GIVEN[None]] * 2, [GIVEN, GIVEN[:2]], [GIVEN], [GIVEN] * 3])
def test_features_that_are_no_matrices_of_one_shape_or_too_many(features: list[Tensor]) -> None:
    model = Frames()
    with pytest.raises(ShapeError), feed_image_features(model, features):
        model.get_image_features(pixels_of([4.0, 8.0]))


def test_the_tap_is_found_with_and_without_a_head_and_within_itself() -> None:
    model = Frames()
    whole = nn.Module()
    whole.model = model
    assert find_tap(model) is find_tap(whole) is model
    with feed_image_features(model, [GIVEN]):
        assert find_tap(model) is model
    odd: Any = nn.Module()
    odd.get_image_features = 7
    for wrong in (odd, SimpleNamespace(get_image_features=model.get_image_features)):
        with pytest.raises(ModelUnsupportedError):
            find_tap(wrong)


# ---- the general tap ---------------------------------------------------------------------------------------
def test_the_innermost_owner_is_found_and_what_has_no_source_is_passed_over() -> None:
    inner, outer = Frames(), Frames()
    outer.inner = inner
    outer.activation = nn.Identity()
    builtin = type("Builtin", (nn.Module,), {"forward": len, METHOD: lambda self: None})()
    outer.builtin = builtin
    assert find_owner(outer) is inner
    with pytest.raises(ModelUnsupportedError):
        find_owner(builtin)


def test_the_instance_is_as_before_when_the_last_context_ends() -> None:
    model = Frames()
    first, second = feed_output(model, "first"), feed_output(model, "second")
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    assert model.get_image_features(None) == "first"  # type: ignore[arg-type]
    first.__exit__(None, None, None)
    assert METHOD not in model.__dict__


def test_what_somebody_else_puts_there_meanwhile_stays() -> None:
    model = Frames()
    with feed_output(model, "fed"):
        model.__dict__[METHOD] = "theirs"
    assert model.__dict__[METHOD] == "theirs"


def test_a_handler_gets_the_method_as_it_was() -> None:
    model = Frames()
    with intercepted(model, lambda original, *args, **kwargs: original(*args, **kwargs).pooler_output):
        assert len(model.get_image_features(pixels_of([4.0]))[0]) == 3  # type: ignore[arg-type]
        assert list(model.get_image_features.__signature__.parameters) == [  # type: ignore[attr-defined]
            "pixel_values",
            "pixel_attention_mask",
            "more",
        ]
