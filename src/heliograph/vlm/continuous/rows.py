"""A question on its way through a batch, and what a model's class has to tell about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from heliograph.vlm.continuous.passes import Part
from heliograph.vlm.continuous.shared_heads import ComputedHead
from heliograph.vlm.continuous.slots import SlotArena, SlotOwner, columns_for
from heliograph.vlm.contract import BatchRequest, Verification
from heliograph.vlm.generation_rules import RowRules
from heliograph.vlm.verification import DraftWalk

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """A request whose question can be asked.

    Attributes:
        head, tail: ids of the prompt, with a placeholder for every visual token.
        columns: of the head in the cache, at most; fewer than its ids where tokens are merged.
        guess: ids of the draft that may be read; none without a draft.
    """

    head: tuple[int, ...]
    tail: tuple[int, ...]
    columns: int
    guess: tuple[int, ...]


@dataclass(frozen=True)
class HeadInputs:
    """The beginning of a prompt as the language model is to read it; P columns.

    Attributes:
        ids: (P,) int64.
        positions: (P,) int64.
        places: (K,) int64, ascending, which of them are visual tokens.
        features: (K, D) in the model's dtype; None without any.
        weights: (P,) float32 to add to attention; None for nothing.
        left_out: positions that have no column.
    """

    ids: Ids
    positions: Ids
    places: Ids
    features: Tensor | None
    weights: Tensor | None = None
    left_out: int = 0


@dataclass(frozen=True)
class OwnPrefill:
    """A prompt that the model's own ``forward`` has read by itself.

    Attributes:
        columns: (layers, 2, heads, P, width), its keys and values.
        logits: (1, V) of its last position.
    """

    columns: Tensor
    logits: Tensor


class RowSource(Protocol):
    """What differs between classes of models."""

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""

    def ask(self, request: BatchRequest) -> Asked:
        """The prompt.

        Raises:
            HeliographError: it cannot be asked.
        """

    def rules(self, asked: Asked, limit: int) -> RowRules | None:
        """What the generation config does to this row's logits; None for nothing."""

    def key(self, images: Sequence[Any]) -> bytes | None:
        """Equal for images whose heads are; None where heads are not shared."""

    def head(self, asked: Asked, images: Sequence[Any]) -> HeadInputs:
        """The head's inputs, from the vision tower where images are photos.

        Raises:
            HeliographError: images of which there is no answer.
        """

    def prefill(self, request: BatchRequest) -> OwnPrefill | None:
        """The prompt read by itself; None where prompts are read side by side.

        Raises:
            HeliographError: images of which there is no answer.
        """

    def verified(self, walk: DraftWalk, request: BatchRequest) -> Verification:
        """The answer.

        Raises:
            AnsweringFailedError: there is none in these steps.
        """


@dataclass(eq=False)
class Row(SlotOwner):
    """A request in a batch.

    Attributes:
        request, asked: as they came.
        arena: where its slot is; None as long as it waits.
        walk: its answer so far; None as long as it waits.
        key: that its head is shared by; None for no sharing, or as long as nobody has looked.
        weights, left_out: of its head.
    """

    request: BatchRequest
    asked: Asked
    arena: SlotArena[Row] | None = None
    walk: DraftWalk | None = None
    key: bytes | None = None
    weights: Tensor | None = None
    left_out: int = 0
    slot: int = -1
    length: int = 0

    @property
    def cost(self) -> int:
        """Columns of the slot that it is given."""
        return cost_of(self.asked, self.request.max_new_tokens)

    def begin_with(self, head: ComputedHead | HeadInputs) -> None:
        """Take over what a head says of attention and positions."""
        self.weights, self.left_out = head.weights, head.left_out


def cost_of(asked: Asked, limit: int) -> int:
    """Columns of the slot for a prompt and its longest answer."""
    return columns_for(asked.columns + len(asked.tail) + limit)


@dataclass(eq=False)
class Reading:
    """What a row reads in one pass.

    Attributes:
        row, walk: whose.
        part: where it lies.
        ids, positions: T of its own positions.
        head: whose inputs its first positions are; None where they were read before or are lent.
    """

    row: Row
    walk: DraftWalk
    part: Part
    ids: Sequence[int]
    positions: Sequence[int]
    head: HeadInputs | None = None
