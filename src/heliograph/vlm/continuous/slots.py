"""Keys and values of rows of different lengths: each row has a slot, and writes at its own length.

::

    arena of C columns   data (layers, 2, slots, heads, C, width)
        slot 0  [ head | question | answer ....           ]  a row of 90 positions
        slot 1  [ head | question | answer ............   ]  another one
        slot 2  [ nobody's: zeros, or what somebody left   ]

A row is given a slot for all that it may ever need, in the arena with the fewest columns that hold it. Arenas have
powers of two of columns, so that a long row makes no short one long. The rows of an arena fill its first slots: where
one leaves, the last one moves. Slots double when they are all taken, and halve when three quarters are free.

What lies behind a row's length is masked, but a masked number still has to be one: slots begin as zeros, and a row
whose numbers are none is wiped when it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

SHORTEST = 128
"""Columns of the smallest arena."""

_FIRST_SLOTS = 1
_PATIENCE = 8

Owner = TypeVar("Owner", bound="SlotOwner")


def columns_for(positions: int) -> int:
    """Columns of the arena for a row of so many positions."""
    return max(SHORTEST, 1 << (positions - 1).bit_length())


@dataclass(frozen=True)
class CacheShape:
    """The shape of what one position holds.

    Attributes:
        layers: of the language model.
        heads: of keys and values.
        width: channels of a head.
        dtype, device: of the model.
    """

    layers: int
    heads: int
    width: int
    dtype: torch.dtype
    device: Any

    def zeros(self, slots: int, columns: int) -> Tensor:
        """(layers, 2, slots, heads, columns, width)."""
        size = (self.layers, 2, slots, self.heads, columns, self.width)
        return torch.zeros(size, dtype=self.dtype, device=self.device)


class SlotOwner:
    """A row's place.

    Attributes:
        slot: in its arena; the arena changes it.
        length: columns that are filled.
    """

    slot: int = -1
    length: int = 0


class SlotArena(Generic[Owner]):
    """Slots of equal size.

    Args:
        shape: of a position.
        columns: C of every slot.

    Attributes:
        data: (layers, 2, slots, heads, C, width), keys and values.
        layers: keys and values (slots, heads, C, width) of each layer, views of ``data``.
        flat: the same as (slots * heads * C, width).
        rows: in the order of their slots, from 0 on.
    """

    def __init__(self, shape: CacheShape, columns: int) -> None:
        self._shape, self.columns = shape, columns
        self.rows: list[Owner] = []
        self._quiet = 0  # times that rows left and few were there
        self._lay_out(shape.zeros(_FIRST_SLOTS, columns))

    def _lay_out(self, data: Tensor) -> None:
        self.data = data
        self.layers = [(keys, values) for keys, values in data]
        self.flat = [(keys.view(-1, self._shape.width), values.view(-1, self._shape.width)) for keys, values in data]

    @property
    def slots(self) -> int:
        """Slots there are, taken or not."""
        return self.data.shape[2]

    def take(self, row: Owner, expected: int = 0) -> None:
        """Give a row the next slot.

        Args:
            row: without a slot.
            expected: rows that will be here soon, this one and those that are here among them.
        """
        if len(self.rows) == self.slots:
            self._resize(max(2 * self.slots, 1 << max(0, expected - 1).bit_length()))
        row.slot, row.length = len(self.rows), 0
        self.rows.append(row)

    def fill(self, row: Owner, head: Tensor) -> None:
        """Begin a row with what was computed before.

        Args:
            row: of this arena.
            head: (layers, 2, heads, P, width).
        """
        row.length = head.shape[3]
        self.data[:, :, row.slot, :, : row.length] = head

    def head_of(self, row: Owner, length: int) -> Tensor:
        """(layers, 2, heads, length, width): a copy of a row's first columns."""
        return self.data[:, :, row.slot, :, :length].clone()

    def release(self, leaving: Sequence[Owner], wiped: Sequence[Owner] = ()) -> None:
        """Free the slots of rows.

        Args:
            leaving: rows of this arena.
            wiped: those of them whose slots are set to zero.
        """
        for row in wiped:
            self.data[:, :, row.slot] = 0
        gone = {row.slot for row in leaving}
        for row in leaving:
            row.slot = -1
        staying = len(self.rows) - len(gone)
        holes = [slot for slot in range(staying) if slot in gone]
        for hole in holes:
            while len(self.rows) - 1 in gone:
                self.rows.pop()
            last = self.rows.pop()
            self.data[:, :, hole, :, : last.length] = self.data[:, :, last.slot, :, : last.length]
            last.slot = hole
            self.rows[hole] = last
        del self.rows[staying:]
        self._quiet = self._quiet + 1 if staying <= self.slots // 4 else 0
        if self.slots > _FIRST_SLOTS and self._quiet > _PATIENCE:
            self._resize(self.slots // 2)
            self._quiet = 0

    def wipe_rest(self) -> None:
        """Keep no more slots than are taken, and set to zero what no row holds."""
        fitting = 1 << max(0, len(self.rows) - 1).bit_length()
        if fitting < self.slots:
            self._resize(fitting)
        self.data[:, :, len(self.rows) :] = 0
        for row in self.rows:
            self.data[:, :, row.slot, :, row.length :] = 0

    def _resize(self, slots: int) -> None:
        old = self.data
        self._lay_out(self._shape.zeros(slots, self.columns))
        kept = len(self.rows)
        longest = max((row.length for row in self.rows), default=0)
        self.data[:, :, :kept, :, :longest] = old[:, :, :kept, :, :longest]
