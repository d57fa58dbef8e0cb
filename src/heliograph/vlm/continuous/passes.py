"""One forward pass over the new positions of many rows, none of them padding.

::

    packed (1, T)      [ r0 | r1 | r2 | r3 ... | r7 r7 r7 r7 r7 | r8 r8 r8 r8 r8 r8 r8 ]
                         one new token a row      a draft's rest   a prompt
    linear layers      all T at once, as one sequence
    keys and values    --written--> each row's slot, behind what it holds
    attention          rows with one token: one call for an arena, over its slots as they lie
                       rows with more: one call for those of about one length, queries padded within the call

The model's own ``forward`` runs, with its own modules and positions of ours. Its attention asks the library for the
function that its configuration names; within :func:`slotted_attention` that is one of ours, which sees slots where the
library's sees one cache. Other threads' passes, at the same time, get the library's.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Cache
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.continuous.slots import SlotArena, SlotOwner

_SLOTTED = "heliograph_slots"
_BENDING = ("softcap", "s_aux", "position_bias", "sliding_window")
_local = threading.local()


@dataclass(eq=False)
class Part:
    """What one row reads in a pass.

    Attributes:
        row: whose ``length`` columns are filled before it.
        arena: of the row.
        count: new positions of its own.
        weights: (W,) float32 to add to the attention that its first W columns get; None for nothing.
        lender: another part of the pass whose first ``lent`` positions are also this row's first.
        lent: so many; the row's own begin behind them.
        first: where its own positions begin in the packed sequence; set by the plan.
    """

    row: SlotOwner
    arena: SlotArena[Any]
    count: int
    weights: Tensor | None = None
    lender: Part | None = None
    lent: int = 0
    first: int = -1

    @property
    def start(self) -> int:
        """The column of its first own position."""
        return self.row.length + self.lent

    @property
    def end(self) -> int:
        """Columns that are filled after it."""
        return self.start + self.count


@dataclass
class _Write:
    """Where new keys go in one arena.

    Attributes:
        arena: that one.
        slots, columns: (n,) int64.
        source: (n,) of the T new ones; None for all as they lie.
    """

    arena: SlotArena[Any]
    slots: Tensor
    columns: Tensor
    source: Tensor | None
    _to: Tensor | None = None

    def to_of(self, heads: int) -> Tensor:
        """(heads * n,) rows of the arena seen as (slots * heads * C, width)."""
        if self._to is None:
            by_head = self.slots * heads + torch.arange(heads, device=self.slots.device)[:, None]  # (heads, n)
            self._to = (by_head * self.arena.columns + self.columns).view(-1)
        return self._to


@dataclass
class _Loan:
    """The first columns of one row that are also those of others.

    Attributes:
        lender: whose.
        arena: of the borrowers.
        slots: (n,) int64 theirs.
        columns: so many.
    """

    lender: Part
    arena: SlotArena[Any]
    slots: Tensor
    columns: int

    def copy(self, layer: int, which: int) -> None:
        """Copy keys (0) or values (1) of a layer."""
        lent = self.lender.arena.layers[layer][which][self.lender.row.slot, :, : self.columns]  # (heads, P, width)
        held = self.arena.layers[layer][which][:, :, : self.columns]
        held.index_copy_(0, self.slots, lent.expand(len(self.slots), -1, -1, -1).contiguous())


@dataclass
class _Group:
    """Queries that attend in one call.

    Attributes:
        arena: theirs.
        slots: (m,) int64, or a slice where they are neighbours.
        rows, longest, columns: m slots, L queries of each, P columns that are looked at.
        bias: (m, 1, L, P) added to scores; None for nothing.
        asks: (m * L,) places in the packed sequence, any for padding; a slice where they are neighbours, None where
            they are all there is.
        tells: places of the packed sequence that get an output, and of (m * L,) which; None for all.
        causal: whether query l sees the first l + 1 columns, without a bias.
    """

    arena: SlotArena[Any]
    slots: Tensor | slice
    rows: int
    longest: int
    columns: int
    bias: Tensor | None
    asks: Tensor | slice | None
    tells: tuple[Tensor, Tensor] | None
    causal: bool = False


class PassPlan:
    """Where everything of one pass goes.

    Args:
        parts: of different rows; a lender has its row's first columns in this pass. In the packed sequence they lie in
            the order of :attr:`parts`.
        dtype, device: of the model.
        watchful: whether to look at what each layer asks of its attention; it asks the same in every pass.
    """

    def __init__(self, parts: Sequence[Part], dtype: torch.dtype, device: Any, *, watchful: bool = False) -> None:
        self._dtype, self.device, self.watchful = dtype, device, watchful
        single = [part for part in parts if part.count == 1 and part.lender is None]
        wide = [part for part in parts if part.count > 1 or part.lender is not None]
        single.sort(key=lambda part: (part.arena.columns, part.row.slot))
        wide.sort(key=lambda part: (part.arena.columns, part.count.bit_length(), part.row.slot))
        self.parts = single + wide
        self.tokens = 0
        for part in self.parts:
            part.first = self.tokens
            self.tokens += part.count
        self._writes = [self._write(arena, own) for arena, own in _by_arena(self.parts)]
        self._loans = self._lent(wide)
        self._groups = [self._single_group(arena, own) for arena, own in _by_arena(single)]
        for arena, own in _by_arena(wide):
            sizes = dict.fromkeys(part.count.bit_length() for part in own)
            self._groups += [
                self._wide_group(arena, [part for part in own if part.count.bit_length() == size]) for size in sizes
            ]

    # ---- what the model calls ----------------------------------------------------------------------
    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Put what a layer made of the packed sequence, (1, heads, T, width), into the slots."""
        heads, width = keys.shape[1], keys.shape[3]
        for made, which in ((keys, 0), (values, 1)):
            for write in self._writes:
                some = made if write.source is None else made[:, :, write.source]
                write.arena.flat[layer][which].index_copy_(0, write.to_of(heads), some.reshape(-1, width))
            for loan in self._loans:
                loan.copy(layer, which)

    def attend(self, layer: int, query: Tensor, scaling: float | None) -> Tensor:
        """(1, T, H, width) attention of the packed queries (1, H, T, width)."""
        asked = query[0]  # (H, T, d)
        if len(self._groups) == 1 and self._groups[0].asks is None:
            return self._attended(self._groups[0], layer, asked, scaling)[None]
        out = asked.new_empty(self.tokens, asked.shape[0], asked.shape[2])  # (T, H, d)
        for group in self._groups:
            made = self._attended(group, layer, asked, scaling)  # (m * L, H, d)
            if group.tells is None:
                out[group.asks] = made  # a slice, as there is more than one group
            else:
                out[group.tells[0]] = made[group.tells[1]]
        return out[None]

    @staticmethod
    def _attended(group: _Group, layer: int, asked: Tensor, scaling: float | None) -> Tensor:
        """(m * L, H, d)."""
        keys, values = group.arena.layers[layer]  # (slots, heads, C, d)
        if isinstance(group.slots, slice):
            first = group.slots.start or 0
            keys = keys.narrow(0, first, group.rows).narrow(2, 0, group.columns)  # (m, heads, P, d)
            values = values.narrow(0, first, group.rows).narrow(2, 0, group.columns)
        else:
            keys = keys[:, :, : group.columns].index_select(0, group.slots)
            values = values[:, :, : group.columns].index_select(0, group.slots)
        heads, all_heads, width = keys.shape[1], asked.shape[0], asked.shape[2]
        queries = asked if group.asks is None else asked[:, group.asks]  # (H, m * L, d)
        if group.longest == 1:
            queries = queries.transpose(0, 1).reshape(group.rows, heads, -1, width)  # (m, heads, shared, d)
        else:
            queries = queries.view(all_heads, group.rows, group.longest, width).transpose(0, 1)  # (m, H, L, d)
            if heads < all_heads:
                keys = keys.repeat_interleave(all_heads // heads, dim=1)  # (m, H, P, d)
                values = values.repeat_interleave(all_heads // heads, dim=1)
        made = torch.nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=group.bias, is_causal=group.causal, scale=scaling
        )
        if group.longest > 1:
            made = made.transpose(1, 2)  # (m, L, H, d)
        return made.reshape(-1, all_heads, width)

    # ---- how it is made ----------------------------------------------------------------------------
    def _indices(self, values: Any) -> Tensor:
        return torch.as_tensor(values, device=self.device)

    def _neighbours(self, first: int, count: int) -> slice | None:
        return None if count == self.tokens else slice(first, first + count)

    def _write(self, arena: SlotArena[Any], parts: list[Part]) -> _Write:
        slots: list[int] = []
        columns: list[int] = []
        source: list[int] = []
        for part in parts:
            slots += [part.row.slot] * part.count
            columns += range(part.start, part.end)
            source += range(part.first, part.first + part.count)
        whole = len(source) == self.tokens
        return _Write(arena, self._indices(slots), self._indices(columns), None if whole else self._indices(source))

    def _lent(self, parts: Sequence[Part]) -> list[_Loan]:
        """What is lent, once for all borrowers of a lender in an arena."""
        found: dict[tuple[Part, int], list[Part]] = {}
        for part in parts:
            if part.lender is not None:
                found.setdefault((part.lender, part.arena.columns), []).append(part)
        return [
            _Loan(lender, own[0].arena, self._indices([part.row.slot for part in own]), own[0].lent)
            for (lender, _), own in found.items()
        ]

    def _single_group(self, arena: SlotArena[Any], parts: list[Part]) -> _Group:
        """Rows with one new token, over the arena's first slots as they lie, those of other rows among them."""
        rows = parts[-1].row.slot + 1
        if rows == len(parts):
            bias, columns = self._bias([[part.end] for part in parts], [part.weights for part in parts])
            return _Group(arena, slice(rows), rows, 1, columns, bias, self._neighbours(parts[0].first, rows), None)
        ends, asks = [[1] for _ in range(rows)], [0] * rows
        weights: list[Tensor | None] = [None] * rows
        for part in parts:
            slot = part.row.slot
            ends[slot][0], weights[slot], asks[slot] = part.end, part.weights, part.first
        bias, columns = self._bias(ends, weights)
        tells = (self._indices([part.first for part in parts]), self._indices([part.row.slot for part in parts]))
        return _Group(arena, slice(rows), rows, 1, columns, bias, self._indices(asks), tells)

    def _wide_group(self, arena: SlotArena[Any], parts: list[Part]) -> _Group:
        longest, rows = max(part.count for part in parts), len(parts)
        first, last = parts[0].row.slot, parts[-1].row.slot  # in ascending order
        together = last - first + 1 == rows
        slots = slice(first, last + 1) if together else self._indices([part.row.slot for part in parts])
        steps = np.arange(longest)
        counts = np.array([part.count for part in parts])[:, None]
        reached = np.minimum(steps, counts - 1)  # (m, L)
        weights = [part.weights for part in parts]
        causal = not any(part.start for part in parts) and all(own is None for own in weights)
        bias, columns = None, longest
        if not causal:
            starts = np.array([part.start for part in parts])[:, None]
            bias, columns = self._bias(starts + 1 + reached, weights)
        if int(counts.min()) == longest:
            place = self._neighbours(parts[0].first, rows * longest)
            return _Group(arena, slots, rows, longest, columns, bias, place, None, causal)
        asks = (np.array([part.first for part in parts])[:, None] + reached).reshape(-1)
        real = (steps < counts).reshape(-1)
        tells = (self._indices(asks[real]), self._indices(np.flatnonzero(real)))
        return _Group(arena, slots, rows, longest, columns, bias, self._indices(asks), tells, causal)

    def _bias(self, ends: Any, weights: Sequence[Tensor | None]) -> tuple[Tensor | None, int]:
        """(m, 1, L, P) from how many columns each query (m, L) sees, None where all see all alike; and P."""
        seen = torch.as_tensor(ends)  # (m, L)
        columns = int(seen.max())
        weighted = any(own is not None for own in weights)
        if not weighted and int(seen.min()) == columns:
            return None, columns
        hidden = torch.arange(columns) >= seen[:, None, :, None]  # (m, 1, L, P)
        low = torch.finfo(self._dtype).min
        bias = torch.zeros(hidden.shape, dtype=self._dtype).masked_fill_(hidden, low)
        for row, own in enumerate(weights):
            if own is not None:
                bias[row, ..., : len(own)] += own.to(self._dtype)[:columns]
        return (bias.clamp_(min=low) if weighted else bias).to(self.device), columns


class PassCache(Cache):  # type: ignore[misc]
    """What the model takes for its cache during one pass.

    Attributes:
        mask: (1, 1, 1, 1) to pass along as attention mask, so that the model makes none; nobody reads it.
    """

    def __init__(self, plan: PassPlan) -> None:
        super().__init__(layers=[])
        self._plan = plan
        self.mask = torch.zeros(1, 1, 1, 1, device=plan.device)

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:
        """Keep a layer's keys and values; what it attends to is read from the slots."""
        self._plan.write(layer_idx, key_states, value_states)
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns of the longest row; positions are given and follow from nothing here."""
        return max(part.start for part in self._plan.parts)


@contextmanager
def slotted_attention(configs: Sequence[Any], plan: PassPlan) -> Iterator[PassCache]:
    """A context in which this thread's passes attend as the plan says.

    Args:
        configs: that the language model's layers ask for the name of their attention.
        plan: of the pass.

    Raises:
        ModelUnsupportedError: (inside a watchful pass) the attention bends its scores.
    """
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs:
            config._attn_implementation = _SLOTTED
        _local.plan = plan
        yield PassCache(plan)
    finally:
        _local.plan = None
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    plan: PassPlan | None = getattr(_local, "plan", None)
    if plan is None:
        made: tuple[Tensor, None] = ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, mask, **options)
        return made
    if plan.watchful and any(options.get(name) is not None for name in _BENDING):
        raise ModelUnsupportedError().noted("its attention bends its scores, which cannot be done over slots.")
    return plan.attend(module.layer_idx, query, options.get("scaling")), None


def _by_arena(parts: Sequence[Part]) -> list[tuple[SlotArena[Any], list[Part]]]:
    found: dict[int, tuple[SlotArena[Any], list[Part]]] = {}
    for part in parts:
        found.setdefault(part.arena.columns, (part.arena, []))[1].append(part)
    return list(found.values())


ALL_ATTENTION_FUNCTIONS.register(_SLOTTED, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(_SLOTTED, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
