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
from dataclasses import dataclass, field
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
    """Where new keys go in one arena: rows of (slots * C) from those of T, all T where ``source`` is None."""

    arena: SlotArena[Any]
    to: Tensor
    source: Tensor | None


@dataclass
class _Group:
    """Queries that attend in one call.

    Attributes:
        arena: theirs.
        slots: (m,) int64; None for the first m as they lie.
        rows, longest, columns: m slots, L queries of each, P columns that are looked at.
        bias: (m, 1, L, P) added to scores.
        asks: (m * L,) places in the packed sequence, any for padding; a slice where they are neighbours.
        tells: places of the packed sequence that get an output, and of (m * L,) which; None for all.
    """

    arena: SlotArena[Any]
    slots: Tensor | None
    rows: int
    longest: int
    columns: int
    bias: Tensor
    asks: Tensor | slice
    tells: tuple[Tensor, Tensor] | None
    _biases: dict[int, Tensor] = field(default_factory=dict)

    def bias_of(self, shared: int) -> Tensor:
        """(m, 1, shared * L, P) for so many query heads to a head of keys."""
        if shared not in self._biases:
            repeated = self.bias if self.longest == 1 else self.bias.repeat(1, 1, shared, 1)
            self._biases[shared] = repeated
        return self._biases[shared]


class PassPlan:
    """Where everything of one pass goes.

    Args:
        parts: of different rows; a lender has its row's first columns in this pass. In the packed sequence they lie in
            the order of :attr:`parts`.
        dtype, device: of the model.
    """

    def __init__(self, parts: Sequence[Part], dtype: torch.dtype, device: Any) -> None:
        self._dtype, self.device = dtype, device
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
        self._groups = [self._single_group(arena, own) for arena, own in _by_arena(single)]
        for arena, own in _by_arena(wide):
            sizes = dict.fromkeys(part.count.bit_length() for part in own)
            self._groups += [
                self._wide_group(arena, [part for part in own if part.count.bit_length() == size]) for size in sizes
            ]

    # ---- what the model calls ----------------------------------------------------------------------
    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Put what a layer made of the packed sequence, (1, heads, T, width), into the slots."""
        for which, made in ((0, keys), (1, values)):
            flat = made[0].transpose(0, 1).reshape(self.tokens, -1)  # (T, heads * width)
            for write in self._writes:
                held = write.arena.data[layer, which]  # (slots, C, heads, width)
                new = flat if write.source is None else flat[write.source]
                held.view(-1, flat.shape[1]).index_copy_(0, write.to, new)

    def attend(self, layer: int, query: Tensor, scaling: float | None) -> Tensor:
        """(1, T, H, width) attention of the packed queries (1, H, T, width)."""
        asked = query[0]  # (H, T, d)
        if len(self._groups) == 1 and self._groups[0].tells is None:
            return self._attended(self._groups[0], layer, asked, scaling)[None]
        out = asked.new_empty(self.tokens, asked.shape[0], asked.shape[2])  # (T, H, d)
        for group in self._groups:
            made = self._attended(group, layer, asked, scaling)  # (m * L, H, d)
            if group.tells is None:
                out[group.asks] = made
            else:
                out[group.tells[0]] = made[group.tells[1]]
        return out[None]

    @staticmethod
    def _attended(group: _Group, layer: int, asked: Tensor, scaling: float | None) -> Tensor:
        """(m * L, H, d)."""
        held = group.arena.data[layer, :, :, : group.columns]  # (2, slots, P, heads, d)
        held = held[:, : group.rows] if group.slots is None else held.index_select(1, group.slots)
        keys, values = held.transpose(2, 3)  # (m, heads, P, d)
        heads, width = keys.shape[1], asked.shape[2]
        shared = asked.shape[0] // heads
        queries = asked[:, group.asks].view(heads * shared, group.rows, group.longest, width)
        queries = queries.transpose(0, 1).reshape(group.rows, heads, shared * group.longest, width)
        made = torch.nn.functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=group.bias_of(shared), scale=scaling
        )  # (m, heads, shared * L, d)
        made = made.view(group.rows, heads * shared, group.longest, width).transpose(1, 2)
        return made.reshape(group.rows * group.longest, heads * shared, width)

    # ---- how it is made ----------------------------------------------------------------------------
    def _indices(self, values: Any) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.int64), device=self.device)

    def _write(self, arena: SlotArena[Any], parts: list[Part]) -> _Write:
        to, source = [], []
        for part in parts:
            base = part.row.slot * arena.columns
            if part.lender is not None:
                to.append(np.arange(base, base + part.lent))
                source.append(np.arange(part.lender.first, part.lender.first + part.lent))
            to.append(np.arange(base + part.start, base + part.end))
            source.append(np.arange(part.first, part.first + part.count))
        taken = np.concatenate(source)
        whole = len(taken) == self.tokens and bool((taken == np.arange(self.tokens)).all())
        return _Write(arena, self._indices(np.concatenate(to)), None if whole else self._indices(taken))

    def _single_group(self, arena: SlotArena[Any], parts: list[Part]) -> _Group:
        """Rows with one new token, over the arena's first slots as they lie, those of other rows among them."""
        rows = parts[-1].row.slot + 1
        ends = np.ones(rows, dtype=np.int64)
        ends[[part.row.slot for part in parts]] = [part.end for part in parts]
        weights: list[Tensor | None] = [None] * rows
        for part in parts:
            weights[part.row.slot] = part.weights
        bias, columns = self._bias(ends[:, None], weights)
        first = parts[0].first
        if rows == len(parts):
            return _Group(arena, None, rows, 1, columns, bias, slice(first, first + rows), None)
        asks = np.zeros(rows, dtype=np.int64)
        asks[[part.row.slot for part in parts]] = [part.first for part in parts]
        tells = (self._indices([part.first for part in parts]), self._indices([part.row.slot for part in parts]))
        return _Group(arena, None, rows, 1, columns, bias, self._indices(asks), tells)

    def _wide_group(self, arena: SlotArena[Any], parts: list[Part]) -> _Group:
        longest, rows = max(part.count for part in parts), len(parts)
        steps = np.arange(longest)
        counts = np.array([part.count for part in parts])[:, None]
        ends = np.array([part.start + 1 for part in parts])[:, None] + np.minimum(steps, counts - 1)  # (m, L)
        bias, columns = self._bias(ends, [part.weights for part in parts])
        first = np.array([part.first for part in parts])[:, None]
        asks = (first + np.minimum(steps, counts - 1)).reshape(-1)
        slots = self._indices([part.row.slot for part in parts])
        if int(counts.min()) == longest:  # neighbours in the packed sequence
            place = slice(parts[0].first, parts[0].first + rows * longest)
            return _Group(arena, slots, rows, longest, columns, bias, place, None)
        real = (steps < counts).reshape(-1)
        tells = (self._indices(asks[real]), self._indices(np.flatnonzero(real)))
        return _Group(arena, slots, rows, longest, columns, bias, self._indices(asks), tells)

    def _bias(self, ends: np.ndarray, weights: Sequence[Tensor | None]) -> tuple[Tensor, int]:
        """(m, 1, L, P) from how many columns each query (m, L) sees, and P."""
        columns = int(ends.max())
        hidden = np.arange(columns) >= ends[:, :, None]  # (m, L, P)
        low = torch.finfo(self._dtype).min
        bias = torch.zeros(hidden.shape, dtype=self._dtype).masked_fill_(torch.from_numpy(hidden), low)
        for row, own in enumerate(weights):
            if own is not None:
                seen = min(len(own), columns)
                bias[row, :, :seen] = (bias[row, :, :seen] + own[:seen].to(self._dtype)).clamp_(min=low)
        return bias[:, None].to(self.device), columns


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
        ModelUnsupportedError: (inside the pass) the attention bends its scores.
    """
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = _SLOTTED
    _local.plan = plan
    try:
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
    if any(options.get(name) is not None for name in _BENDING):
        raise ModelUnsupportedError().noted("its attention bends its scores, which cannot be done over slots.")
    return plan.attend(module.layer_idx, query, options.get("scaling")), None


def _by_arena(parts: Sequence[Part]) -> list[tuple[SlotArena[Any], list[Part]]]:
    found: dict[int, tuple[SlotArena[Any], list[Part]]] = {}
    for part in parts:
        found.setdefault(part.arena.columns, (part.arena, []))[1].append(part)
    return list(found.values())


ALL_ATTENTION_FUNCTIONS.register(_SLOTTED, _attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(_SLOTTED, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
