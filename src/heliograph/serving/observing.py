"""Measures new prefixes off the event loop and lets the controllers decide, so that "enough" goes out even while the
model is busy.

A session that has had more measured than its allowance (:mod:`heliograph.serving.turns`) rests: its photos wait, and
then the newest prefix of each is measured. What needs no measuring does not wait: a photo that is complete, an answer
that is due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from heliograph.controllers.base import EXPECTATION
from heliograph.errors import HeliographError
from heliograph.serving.desk import Desk
from heliograph.serving.measuring import Meter, measure
from heliograph.serving.photo import Photo
from heliograph.serving.shared import Shared
from heliograph.serving.turns import Allowance

_MOST_QUESTIONS = 8  # whose expectation is measured in one turn: each decodes the prefix

log = logging.getLogger("heliograph.serving")


class Observed(Protocol):
    """A session, as its observer sees it."""

    desk: Desk

    def fail_question(self, question_id: int, error: HeliographError) -> None:
        """A question ends with an error."""


class Observer:
    """Looks at the photos of one session that have changed.

    Args:
        session: has the photos.
        shared: of the server.
        decide: called with a photo's id once it was measured.
    """

    def __init__(self, session: Observed, shared: Shared, decide: Callable[[int], None]) -> None:
        self._session, self._shared, self._decide = session, shared, decide
        self._changed: dict[int, None] = {}  # photos to look at again, oldest change first
        self._wake = asyncio.Event()
        self._allowance = Allowance.for_measuring(shared.measuring_turns, shared.clock())
        self._put_off: dict[int, None] = {}  # photos to measure when the session has rested
        self._rest: asyncio.TimerHandle | None = None

    def look_again(self, image_id: int) -> None:
        """A photo, or what is asked about it, has changed."""
        self._put_off.pop(image_id, None)
        self._changed[image_id] = None
        self._wake.set()

    def forget(self, image_id: int) -> None:
        """A photo is not held any more."""
        self._put_off.pop(image_id, None)
        self._changed.pop(image_id, None)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._changed:
                    await self._look_at(next(iter(self._changed)))
                    await asyncio.sleep(0)
        finally:
            self._end_rest()

    async def _look_at(self, image_id: int) -> None:
        del self._changed[image_id]
        if self._rest is not None:
            self._put_off[image_id] = None
        else:
            await self._measure(image_id)
        self._decide(image_id)  # an answer may be due, whatever is known

    # ---- the allowance -----------------------------------------------------------------------------
    def _charge(self, worked_s: float) -> None:
        wait_s = self._allowance.spend(worked_s, self._shared.clock())
        if wait_s > 0:
            self._end_rest()
            self._rest = asyncio.get_running_loop().call_later(wait_s, self._go_on)

    def _end_rest(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _go_on(self) -> None:
        self._rest = None
        self._changed = self._put_off | self._changed
        self._put_off = {}
        self._wake.set()

    # ---- measuring ---------------------------------------------------------------------------------
    def _wanted(self, image_id: int) -> tuple[Photo, frozenset[str], list[int]] | None:
        """The photo, what is to be measured of it, and for which questions; None where nobody waits for that."""
        desk = self._session.desk
        photo, reads = desk.photos.get(image_id), desk.reads(image_id)
        if photo is None or photo.finished or not reads:
            return None
        asking = [n for n in desk.undecided(image_id) if desk.questions[n].measured_segments != len(photo)]
        asking.sort(key=lambda n: desk.questions[n].measured_segments)  # who has waited longest comes first
        return (photo, reads, asking) if asking else None

    async def _measure(self, image_id: int) -> None:
        """What the controllers read of the newest prefix; only where somebody waits for it.

        One prefix of the server at a time, copied when its turn comes: those that wait hold no copies.
        """
        if self._wanted(image_id) is None:
            return
        async with self._shared.measuring:
            wanted = self._wanted(image_id)
            if wanted is None:
                return
            photo, reads, asking = wanted
            if EXPECTATION in reads and len(asking) > _MOST_QUESTIONS:
                asking = asking[:_MOST_QUESTIONS]
                self.look_again(image_id)  # when the other sessions have had their turn
            await self._measure_now(image_id, photo, reads, asking)

    async def _measure_now(self, image_id: int, photo: Photo, reads: frozenset[str], asking: list[int]) -> None:
        desk, segments = self._session.desk, len(photo)
        questions = {n: desk.questions[n] for n in asking}
        texts = {n: question.asked.question.text for n, question in questions.items()}
        loop, shared, meter = asyncio.get_running_loop(), self._shared, Meter()
        work = (measure, shared.cloud, photo.encoded(), reads, texts)
        try:
            made = await loop.run_in_executor(shared.observer, meter.run, *work)
        except HeliographError as error:
            for question_id in desk.undecided(image_id):
                self._session.fail_question(question_id, error)
            return
        except Exception:
            log.exception("measuring a prefix failed")
            for question in questions.values():
                question.stop_deciding()
            return
        finally:
            self._charge(meter.worked_s)
        if made.energy is not None:
            photo.energy = made.energy
        for question_id, question in questions.items():
            question.expectation, question.measured_segments = made.expectations.get(question_id), segments
