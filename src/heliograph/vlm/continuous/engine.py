"""The batch: who waits, who has a slot, what one step does.

::

    admit --> waiting --start: head found, lent or read--> running --step, step--> ended
                 |                                           |
                 +------------------ drop -------------------+--> slot free at once

A step starts as many of those that wait as its bound of new positions allows, in their order, and takes one pass with
one token of every row that runs, or with what of a draft may come true. Whoever asks about images that somebody else
asks about in the same step is lent their head as it is computed; later ones find it kept.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Container, Sequence

import torch
from torch import Tensor

from heliograph.errors import AnsweringFailedError, HeliographError, UsageError
from heliograph.vlm.checkpoint.weights import WeightCheck
from heliograph.vlm.continuous.forward import PackedForward
from heliograph.vlm.continuous.passes import Part, PassPlan
from heliograph.vlm.continuous.rows import HeadInputs, Reading, Row, RowSource, cost_of
from heliograph.vlm.continuous.shared_heads import ComputedHead, SharedHeads
from heliograph.vlm.continuous.slots import SlotArena
from heliograph.vlm.contract import BatchRequest, EndedRequest
from heliograph.vlm.decoding import best_steps, finite_rows
from heliograph.vlm.verification import DraftWalk

log = logging.getLogger("heliograph.vlm")

_KEPT_EMPTY = 256
"""Columns of arenas that stay without rows; larger ones cost more memory than time to make anew."""


class ContinuousBatch:
    """An :class:`heliograph.vlm.contract.AnswerBatch` over slots.

    Args:
        source: prompts, images and answers of the model.
        forward: its passes.
        weights: looked at when the model was opened.
        capacity_tokens, prefill_tokens, shared_tokens: as :meth:`heliograph.vlm.contract.AnsweringModel.open_batch`.

    Raises:
        UsageError: fewer than 1 position.
    """

    def __init__(
        self,
        source: RowSource,
        forward: PackedForward,
        weights: WeightCheck,
        capacity_tokens: int,
        prefill_tokens: int,
        shared_tokens: int,
    ) -> None:
        for name, value, least in (
            ("capacity_tokens", capacity_tokens, 1),
            ("prefill_tokens", prefill_tokens, 1),
            ("shared_tokens", shared_tokens, 0),
        ):
            if value < least:
                raise UsageError.of_argument(name, f"{least} or more", value)
        self._source, self._forward, self._weights = source, forward, weights
        self.capacity_tokens, self._prefill_tokens = capacity_tokens, prefill_tokens
        self._shared = SharedHeads(shared_tokens)
        self._arenas: dict[int, SlotArena[Row]] = {}
        self._rows: dict[BatchRequest, Row | HeliographError] = {}  # in order of admission
        self._busy = threading.Lock()  # a step, or what would disturb one
        self._forgetting = False
        self._held = 0
        self._wanted = Counter[int]()  # rows by what they cost
        self.read_tokens = 0
        """Positions that went through the language model so far."""

    # ---- who is here -------------------------------------------------------------------------------
    @property
    def held_tokens(self) -> int:
        """Cache positions that the admitted requests cost."""
        return self._held

    @property
    def shared_tokens(self) -> int:
        """Cache positions that are kept of images."""
        return self._shared.held_tokens

    @property
    def cache_positions(self) -> int:
        """Positions that memory is taken for, rows' and images'."""
        return self.shared_tokens + sum(arena.slots * arena.columns for arena in self._arenas.values())

    def __len__(self) -> int:
        """Requests that have not ended."""
        return len(self._rows)

    def cost(self, request: BatchRequest) -> int:
        """Cache positions that a request is given; 0 for one that cannot be asked."""
        try:
            return cost_of(self._source.ask(request), request.max_new_tokens)
        except HeliographError:
            return 0

    def fits(self, request: BatchRequest) -> bool:
        """Whether a request can be admitted now."""
        return not self._rows or self._held + self.cost(request) <= self.capacity_tokens

    def admit(self, request: BatchRequest) -> None:
        """Take a request; what is wrong with it is said by the next step.

        Raises:
            UsageError: it does not fit, or it is here already.
        """
        if request in self._rows:
            raise UsageError.of_argument("a request", "admitted once", "one that is here")
        try:
            row = Row(request, self._source.ask(request))
        except HeliographError as error:
            self._rows[request] = error
            return
        if self._rows and self._held + row.cost > self.capacity_tokens:
            room = max(0, self.capacity_tokens - self._held)
            raise UsageError.of_argument("a request", f"of {room} cache positions or fewer", row.cost)
        self._rows[request] = row
        self._held += row.cost
        self._wanted[row.cost] += 1

    @torch.inference_mode()
    def drop(self, request: BatchRequest) -> bool:
        """Stop work on a request at once and forget it."""
        row = self._rows.pop(request, None)
        if isinstance(row, Row):
            with self._busy:
                self._leave([row], (request,))
        return row is not None

    def forget(self) -> None:
        """Keep nothing of questions and images that have ended: now, or where a step is being made right after it. Any
        thread may call it, and waits for nobody."""
        self._forgetting = True
        self._forget_if_free()

    @torch.inference_mode()
    def _forget_if_free(self) -> None:
        if not self._forgetting or not self._busy.acquire(blocking=False):
            return
        try:
            self._forgetting = False
            self._shared.forget()
            self._arenas = {columns: arena for columns, arena in self._arenas.items() if arena.rows}
            for arena in self._arenas.values():
                arena.wipe_rest()
        finally:
            self._busy.release()

    # ---- one step ----------------------------------------------------------------------------------
    @torch.inference_mode()
    def step(self) -> list[EndedRequest]:
        """One forward pass; what has ended with it, in order of admission."""
        with self._busy:
            ended = self._stepped()
        if self._forgetting:
            self._forget_if_free()
        return ended

    def _stepped(self) -> list[EndedRequest]:
        failed = {one: error for one, error in self._rows.items() if isinstance(error, HeliographError)}
        rows = [row for row in self._rows.values() if isinstance(row, Row)]
        readings = [_next(row, row.walk, row.arena) for row in rows if row.walk is not None and row.arena is not None]
        readings += self._started([row for row in rows if row.walk is None], failed)
        if readings:
            self._read(readings, failed)
        ended = [made for row in list(self._rows) if (made := self._ended(row, failed)) is not None]
        leaving = [self._rows.pop(one.request) for one in ended]
        self._leave([row for row in leaving if isinstance(row, Row)], failed)
        return ended

    def _ended(self, request: BatchRequest, failed: dict[BatchRequest, HeliographError]) -> EndedRequest | None:
        row = self._rows[request]
        if request not in failed and isinstance(row, Row) and row.walk is not None and row.walk.done:
            try:
                return EndedRequest(request, self._source.verified(row.walk, request), None)
            except HeliographError as error:
                failed[request] = error
        return EndedRequest(request, None, failed[request]) if request in failed else None

    # ---- those that begin --------------------------------------------------------------------------
    def _started(self, waiting: Sequence[Row], failed: dict[BatchRequest, HeliographError]) -> list[Reading]:
        """What the next of those that wait read, as many as the bound of a step allows and one in any case."""
        readings: list[Reading] = []
        lenders: dict[bytes, Reading] = {}
        left = self._prefill_tokens
        for row in waiting:
            try:
                size = self._size(row, lenders)
                if size > left and left < self._prefill_tokens:
                    break
                left -= size
                readings += self._begun(row, lenders)
            except HeliographError as error:
                failed[row.request] = error
            except Exception:  # foreign code of a processor or a tower
                log.exception("a question could not be begun")
                failed[row.request] = AnsweringFailedError()
        return readings

    def _size(self, row: Row, lenders: dict[bytes, Reading]) -> int:
        """New positions that a row will read first; it is told by what key its head is shared."""
        if row.key is None:
            row.key = self._source.key(row.request.images)
        known = row.key is not None and (row.key in lenders or row.key in self._shared)
        return len(row.asked.tail) + len(row.asked.guess) + (0 if known else row.asked.columns)

    def _begun(self, row: Row, lenders: dict[bytes, Reading]) -> list[Reading]:
        """Give a row a slot; what it reads first, nothing where the model has read its prompt by itself."""
        self._weights.require()
        request, limit = row.request, row.request.max_new_tokens
        own = self._source.prefill(request)
        rules = self._source.rules(row.asked, limit)
        walk = DraftWalk(row.asked.guess, self._source.end_ids, limit, rules, ahead=own is None)
        if own is not None:
            self._slot(row, own.columns)
            row.walk = walk
            if not all(finite_rows(own.logits)):
                raise AnsweringFailedError
            walk.take(walk.chosen(own.logits))
            return []
        kept = None if row.key is None else self._shared.find(row.key, request.images)
        lender = None if row.key is None else lenders.get(row.key)
        head = None if kept is not None or lender is not None else self._source.head(row.asked, request.images)
        row.begin_with(kept or head or lender.head)  # type: ignore[union-attr, arg-type]
        arena = self._slot(row, None if kept is None else kept.columns)
        row.walk = walk
        reading = _first(row, walk, arena, head, lender)
        if row.key is not None and head is not None:
            lenders[row.key] = reading
        return [reading]

    def _slot(self, row: Row, columns: Tensor | None) -> SlotArena[Row]:
        size = row.cost
        if size not in self._arenas:
            self._arenas[size] = SlotArena(self._forward.shape, size)
        arena = row.arena = self._arenas[size]
        arena.take(row, self._wanted[size])
        if columns is not None:
            arena.fill(row, columns)
        return arena

    # ---- those that run ----------------------------------------------------------------------------
    def _read(self, readings: Sequence[Reading], failed: dict[BatchRequest, HeliographError]) -> None:
        """One pass; where it fails, one for each row that needs no other, so that nobody fails for another one."""
        plan = PassPlan([one.part for one in readings], self._forward.shape.dtype, self._forward.shape.device)
        by_part = {one.part: one for one in readings}
        ordered = [by_part[part] for part in plan.parts]
        kept = [len(one.walk.guess) + 1 for one in ordered]
        try:
            logits = self._forward.run(plan, ordered, kept)
        except Exception as error:
            alone = _that_need_each_other(readings)
            if len(alone) > 1:
                for some in alone:
                    self._read(some, failed)
                return
            if not isinstance(error, HeliographError):
                log.exception("a pass failed")
            named = error if isinstance(error, HeliographError) else AnsweringFailedError()
            failed.update({one.row.request: named for one in readings})
            return
        self.read_tokens += plan.tokens
        self._take(ordered, kept, logits, failed)

    def _take(
        self,
        readings: Sequence[Reading],
        kept: Sequence[int],
        logits: Tensor,
        failed: dict[BatchRequest, HeliographError],
    ) -> None:
        """Let every row go on by its own logits, of (K, V) in the order of rows."""
        sound = finite_rows(logits)
        likeliest = best_steps(logits) if any(one.walk.rules is None for one in readings) else []
        start = 0
        for one, count in zip(readings, kept, strict=True):
            own = slice(start, start + count)
            start += count
            try:
                if not all(sound[own]):
                    raise AnsweringFailedError
                chosen = likeliest[own] if one.walk.rules is None else one.walk.chosen(logits[own])
                rejected = one.walk.take(chosen)
            except HeliographError as error:
                failed[one.row.request] = error
                continue
            except Exception:  # what a generation config asks for is foreign code
                log.exception("a token could not be chosen")
                failed[one.row.request] = AnsweringFailedError()
                continue
            one.row.length = one.part.end - rejected
            self._share(one)

    def _share(self, one: Reading) -> None:
        """Keep a head that was computed in this pass."""
        if one.head is not None and one.row.key is not None and one.row.arena is not None:
            columns = one.row.arena.head_of(one.row, len(one.head.ids))
            head = ComputedHead(columns, one.head.weights, one.head.left_out)
            self._shared.keep(one.row.key, one.row.request.images, head)

    # ---- those that leave --------------------------------------------------------------------------
    def _leave(self, rows: Sequence[Row], wiped: Container[BatchRequest]) -> None:
        """Free what rows hold; what those hold that failed may be no numbers."""
        for row in rows:
            self._held -= row.cost
            self._wanted[row.cost] -= 1
        for columns, arena in list(self._arenas.items()):
            own = [row for row in rows if row.arena is arena]
            if own:
                arena.release(own, [row for row in own if row.request in wiped])
            if not arena.rows and columns > _KEPT_EMPTY:
                del self._arenas[columns]


def _next(row: Row, walk: DraftWalk, arena: SlotArena[Row]) -> Reading:
    """What a row reads that has begun."""
    part = Part(row, arena, len(walk.feed), row.weights)
    start = row.length + row.left_out
    return Reading(row, walk, part, walk.feed, range(start, start + part.count))


def _first(
    row: Row, walk: DraftWalk, arena: SlotArena[Row], head: HeadInputs | None, lender: Reading | None
) -> Reading:
    """What a row reads first: its head, where it has inputs for one, its question, and the draft."""
    own = [*row.asked.tail, *walk.guess]
    if head is not None:
        part = Part(row, arena, len(head.ids) + len(own), row.weights)
        start = len(head.ids) + row.left_out
        ids, positions = [*head.ids.tolist(), *own], [*head.positions.tolist(), *range(start, start + len(own))]
        return Reading(row, walk, part, ids, positions, head)
    part = Part(row, arena, len(own), row.weights)
    if lender is not None and lender.head is not None:
        part.lender, part.lent = lender.part, len(lender.head.ids)
    start = part.start + row.left_out
    return Reading(row, walk, part, own, range(start, start + len(own)))


def _that_need_each_other(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Readings in groups: those that borrow, with the one that they borrow from."""
    found: dict[Part, list[Reading]] = {}
    for one in readings:
        found.setdefault(one.part.lender or one.part, []).append(one)
    return list(found.values())
