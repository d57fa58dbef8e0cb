"""Prompts about photos that are not at hand: made by the model's own processor of grey photos, and kept for a while.

Tokens that come from elsewhere need the prompt that a photo of their size has, pixels included, which nobody reads. To
make it takes longer than a small model takes for a word, and the same few questions are asked about the same few sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from heliograph.vlm.photo_layouts import Size

_MAX_KEPT = 16
_MAX_BYTES = 1 << 20  # of one prompt; what is larger is made anew

Inputs = dict[str, Any]


class PromptMemory:
    """The last prompts; one thread asks at a time.

    Args:
        make: arguments of the model's forward for a question and grey photos of these sizes.
    """

    def __init__(self, make: Callable[[str, tuple[Size, ...]], Inputs]) -> None:
        self._make = make
        self._kept: dict[tuple[str, tuple[Size, ...]], Inputs] = {}

    def of(self, question: str, sizes: tuple[Size, ...]) -> Inputs:
        """A prompt; the dictionary is the caller's, its tensors are not to be changed.

        Raises:
            ShapeError: the processor does not take photos of these sizes.
        """
        key = question, sizes
        if key not in self._kept:
            made = {name: _without_copies(value) for name, value in self._make(question, sizes).items()}
            if sum(_bytes_held(value) for value in made.values()) > _MAX_BYTES:
                return made
            while len(self._kept) >= _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = made
        return dict(self._kept[key])

    def forget(self) -> None:
        """Keep nothing."""
        self._kept.clear()


def _without_copies(value: Any) -> Any:
    """A tensor of one value over and over, such as a grey photo's pixels, in the memory of that value."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        return value
    first = value.reshape(-1)[:1]
    return first.clone().expand(value.numel()).view(value.shape) if bool((value == first).all()) else value


def _bytes_held(value: Any) -> int:
    return value.untyped_storage().nbytes() if isinstance(value, Tensor) else 0
