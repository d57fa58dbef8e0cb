"""What the language model made of the heads of prompts, for the next question about the same images.

Kept by what the images hold, no longer than one of the objects that held it is in somebody's memory, and never more
positions than a bound: the one that was not used for longest goes first.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class ComputedHead:
    """The beginning of a prompt as the language model has read it.

    Attributes:
        columns: (layers, 2, heads, P, width), keys and values.
        weights: (P,) float32 to add to the attention that each gets; None for nothing.
        left_out: positions that have no column.
    """

    columns: Tensor
    weights: Tensor | None = None
    left_out: int = 0

    @property
    def length(self) -> int:
        """P."""
        return self.columns.shape[3]


@dataclass
class _Kept:
    """A head and the images that it is of: per set of objects, references that tell when one of them is gone."""

    head: ComputedHead
    owners: dict[tuple[int, ...], list[Any]] = field(default_factory=dict)


class SharedHeads:
    """Heads by what their images hold; one thread asks, and any may let go of an image.

    Args:
        max_positions: of all heads together; 0 keeps none.
    """

    def __init__(self, max_positions: int) -> None:
        self._max_positions = max_positions
        self._kept: dict[bytes, _Kept] = {}

    @property
    def held_tokens(self) -> int:
        """Positions of all heads."""
        return sum(kept.head.length for kept in list(self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def find(self, key: bytes, images: Sequence[Any]) -> ComputedHead | None:
        """A head that is not to be changed; it is these images' from now on, too."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        self._kept[key] = kept  # the newest now
        self._own(key, kept, images)
        return kept.head

    def keep(self, key: bytes, images: Sequence[Any], head: ComputedHead) -> None:
        """Keep a head, and let others go for it."""
        size = head.length
        if size > self._max_positions:
            return
        self._let_go(key)
        while self._kept and self.held_tokens + size > self._max_positions:
            self._let_go(next(iter(self._kept)))
        self._kept[key] = kept = _Kept(head)
        self._own(key, kept, images)

    def forget(self) -> None:
        """Keep nothing."""
        for key in list(self._kept):
            self._let_go(key)

    def _let_go(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.owners.clear()  # whose callbacks hold it

    def _own(self, key: bytes, kept: _Kept, images: Sequence[Any]) -> None:
        """Count this set of objects among the owners, until the first of them is gone."""
        which = tuple(id(image) for image in images)
        if which in kept.owners:
            return

        def gone(_: Any) -> None:
            """An image was let go of, in whatever thread: single steps on dictionaries alone."""
            kept.owners.pop(which, None)
            if not kept.owners and self._kept.get(key) is kept:
                self._kept.pop(key, None)

        kept.owners[which] = [weakref.ref(image, gone) for image in images]
