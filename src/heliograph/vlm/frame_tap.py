"""The tap of the Idefics3 family: tokens per frame, mixed with frames that keep their pixels.

These models take a batch of frames and drop those that are all zero::

    pixels --get_image_features--> pooler_output, a list of (frames * N, D) --inputs_merger--> language model
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.vlm.tap import METHOD, NO_PLACE, intercepted


def find_tap(model: nn.Module) -> nn.Module:
    """The inner module whose ``forward`` calls ``self.get_image_features(pixel_values, pixel_attention_mask)``.

    Raises:
        ModelUnsupportedError: the model has no such method, or one with other arguments.
    """
    owner = getattr(model, "model", model)
    method = getattr(owner, METHOD, None)
    if not isinstance(owner, nn.Module) or not callable(method):
        raise ModelUnsupportedError().noted(NO_PLACE)
    if not _takes_pixels(method):
        raise ModelUnsupportedError().noted("its vision tower takes something else than pixels and their mask.")
    return owner


def _takes_pixels(method: Callable[..., Any]) -> bool:
    return {"pixel_values", "pixel_attention_mask"} <= inspect.signature(method).parameters.keys()


@contextmanager
def feed_image_features(model: nn.Module, features: Sequence[Tensor | None]) -> Iterator[None]:
    """A context in which this thread's forward passes with pixels get ``features`` in place of encoded pixels.

    Args:
        model: an Idefics3 or SmolVLM model, with or without language-model head.
        features: one entry per real (not all-zero) frame of ``pixel_values``, batch-major: restored tokens
            (N, D), or None to encode this frame's own pixels.

    Raises:
        ModelUnsupportedError: the model has no tap.
        ShapeError: (inside the forward pass) the number or shape of the entries does not fit.
    """
    given = tuple(features)

    def handler(
        original: Callable[..., Any], pixel_values: Tensor, pixel_attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Any:
        if all(entry is None for entry in given):
            return original(pixel_values, pixel_attention_mask, **kwargs)
        return _assembled(original, given, pixel_values, pixel_attention_mask, kwargs)

    with intercepted(find_tap(model), handler):
        yield


def _assembled(
    original: Callable[..., Any],
    features: tuple[Tensor | None, ...],
    pixels: Tensor,
    mask: Tensor | None,
    kwargs: dict[str, Any],
) -> SimpleNamespace:
    """``pooler_output`` as the model builds it: per sample of the batch, its frames' tokens one after another."""
    real = pixels.ne(0).flatten(2).any(dim=-1)  # (B, frames); all-zero frames are padding, as in the model
    if int(real.sum()) != len(features):
        raise ShapeError().noted(
            f"there are {int(real.sum())} frames with pixels, and {len(features)} entries of features."
        )
    encoded = _encode_missing(original, features, pixels, mask, real, kwargs)
    frames = [next(encoded) if entry is None else entry for entry in features]
    if len({frame.shape for frame in frames}) != 1 or frames[0].ndim != 2:
        raise ShapeError().noted(
            "features must be matrices of one shape (N, D); they are "
            f"{sorted({tuple(frame.shape) for frame in frames})}."
        )
    stacked = torch.stack([frame.to(frames[0]) for frame in frames])  # (real frames, N, D)
    counts: list[int] = real.sum(dim=1).tolist()
    return SimpleNamespace(pooler_output=[part.flatten(0, 1) for part in torch.split(stacked, counts)])


def _encode_missing(
    original: Callable[..., Any],
    features: tuple[Tensor | None, ...],
    pixels: Tensor,
    mask: Tensor | None,
    real: Tensor,
    kwargs: dict[str, Any],
) -> Iterator[Tensor]:
    """Tokens (N, D) of the frames that were given as None, in order, from one pass of the model's own encoder."""
    wanted = torch.tensor([entry is None for entry in features], device=pixels.device)
    count = int(wanted.sum())
    if count == 0:
        return iter(())
    frames = pixels[real][wanted].unsqueeze(0)  # (1, count, 3, H, W)
    masks = None if mask is None else mask[real][wanted].unsqueeze(0)
    joined: Tensor = original(frames, masks, **kwargs).pooler_output[0]  # (count * N, D)
    return iter(joined.chunk(count))
