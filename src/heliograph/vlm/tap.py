"""The tap: the one place where restored tokens enter an unmodified vision-language model.

A model of the Idefics3 family makes visual tokens in one method of its inner module and nowhere else::

    pixels --get_image_features--> pooler_output, a list of (frames * N, D) --inputs_merger--> language model

Inside :func:`feed_image_features` that attribute of that one instance is a dispatcher which hands out the given
tokens instead; afterwards the instance is as before. No weight, class or source line of the model changes. See
``docs/decisions/0004-tap.md``.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError, ShapeError

METHOD = "get_image_features"
_install_lock = threading.Lock()


def find_tap(model: nn.Module) -> nn.Module:
    """The inner module whose ``forward`` calls ``self.get_image_features(pixel_values, pixel_attention_mask)``.

    Raises:
        ModelUnsupportedError: the model has no such method, or one with other arguments.
    """
    owner = getattr(model, "model", model)
    method = getattr(owner, METHOD, None)
    if not isinstance(owner, nn.Module) or not callable(method):
        raise ModelUnsupportedError
    if not isinstance(method, _Dispatcher) and not _takes_pixels(method):
        raise ModelUnsupportedError
    return owner


def _takes_pixels(method: Callable[..., Any]) -> bool:
    return {"pixel_values", "pixel_attention_mask"} <= inspect.signature(method).parameters.keys()


@contextmanager
def feed_image_features(model: nn.Module, features: Sequence[Tensor | None]) -> Iterator[None]:
    """Within the context, this thread's forward passes with pixels get ``features`` in place of encoded pixels.

    Other threads see the model as it was; contexts may be nested, the innermost one counts; leaving always
    restores the instance, also after an exception.

    Args:
        model: an Idefics3 or SmolVLM model, with or without language-model head.
        features: one entry per real (not all-zero) frame of ``pixel_values``, batch-major: restored tokens
            (N, D), or None to encode this frame's own pixels.

    Raises:
        ModelUnsupportedError: the model has no tap.
        ShapeError: (inside the forward pass) the number or shape of the entries does not fit.
    """
    owner = find_tap(model)
    dispatcher = _install(owner)
    try:
        with dispatcher.feeding(tuple(features)):
            yield
    finally:
        _uninstall(owner, dispatcher)


def _install(owner: nn.Module) -> _Dispatcher:
    with _install_lock:
        present = owner.__dict__.get(METHOD)
        if isinstance(present, _Dispatcher):
            present.users += 1
            return present
        dispatcher = _Dispatcher(getattr(owner, METHOD), present)
        owner.__dict__[METHOD] = dispatcher
        return dispatcher


def _uninstall(owner: nn.Module, dispatcher: _Dispatcher) -> None:
    with _install_lock:
        dispatcher.users -= 1
        if dispatcher.users or owner.__dict__.get(METHOD) is not dispatcher:
            return
        if dispatcher.previous is None:
            del owner.__dict__[METHOD]
        else:
            owner.__dict__[METHOD] = dispatcher.previous


class _Dispatcher:
    """Stands in for the bound method: tokens for threads that feed some, the original for all others."""

    def __init__(self, original: Callable[..., Any], previous: Any) -> None:
        self.original = original
        self.previous = previous  # an instance attribute that somebody else had put there, or None
        self.users = 1
        self._fed = threading.local()

    @contextmanager
    def feeding(self, features: tuple[Tensor | None, ...]) -> Iterator[None]:
        stack: list[tuple[Tensor | None, ...]] = self._fed.__dict__.setdefault("stack", [])
        stack.append(features)
        try:
            yield
        finally:
            stack.pop()

    def __call__(self, pixel_values: Tensor, pixel_attention_mask: Tensor | None = None, **kwargs: Any) -> Any:
        stack = self._fed.__dict__.get("stack")
        if not stack or all(entry is None for entry in stack[-1]):
            return self.original(pixel_values, pixel_attention_mask, **kwargs)
        return self._assemble(stack[-1], pixel_values, pixel_attention_mask, kwargs)

    def _assemble(
        self, features: tuple[Tensor | None, ...], pixels: Tensor, mask: Tensor | None, kwargs: dict[str, Any]
    ) -> SimpleNamespace:
        """``pooler_output`` as the model builds it: per sample of the batch, its frames' tokens one after another."""
        real = pixels.ne(0).flatten(2).any(dim=-1)  # (B, frames); all-zero frames are padding, as in the model
        if int(real.sum()) != len(features):
            raise ShapeError
        encoded = self._encode_missing(features, pixels, mask, real, kwargs)
        frames = [next(encoded) if entry is None else entry for entry in features]
        if len({frame.shape for frame in frames}) != 1 or frames[0].ndim != 2:
            raise ShapeError
        stacked = torch.stack([frame.to(frames[0]) for frame in frames])  # (real frames, N, D)
        counts: list[int] = real.sum(dim=1).tolist()
        return SimpleNamespace(pooler_output=[part.flatten(0, 1) for part in torch.split(stacked, counts)])

    def _encode_missing(
        self,
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
        joined: Tensor = self.original(frames, masks, **kwargs).pooler_output[0]  # (count * N, D)
        return iter(joined.chunk(count))
