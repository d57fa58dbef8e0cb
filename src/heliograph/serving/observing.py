"""Measures new prefixes off the event loop and lets the controllers decide, so that "enough" goes out even while the
model is busy.

A session that has had more measured than its allowance (:mod:`heliograph.serving.turns`) rests: its photos wait, and
then the newest prefix of each is measured. What needs no measuring does not wait: a photo that is complete, an answer
that is due.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from heliograph.errors import HeliographError
from heliograph.serving.alarm import Alarm
from heliograph.serving.desk.desk import Desk
from heliograph.serving.measuring import Measuring, Meter, measure
from heliograph.serving.shared import Shared
from heliograph.serving.turns import Allowance

log = logging.getLogger("heliograph.serving")


class Observed(Protocol):
    """A session, as its observer sees it."""

    desk: Desk

    def decide(self, image_id: int) -> None:
        """Have the controllers of a photo asked."""

    def carry_out(self) -> None:
        """Tell the device what has happened to its questions."""


class Observer:
    """Looks at the photos on the watchlist of one session's desk.

    Args:
        session: has the desk.
        shared: of the server.
    """

    def __init__(self, session: Observed, shared: Shared) -> None:
        self._session, self._shared = session, shared
        self._wake = asyncio.Event()
        self._allowance = Allowance.for_measuring(shared.measuring_turns, shared.clock())
        self._rest = Alarm(shared.clock, self._resume)

    def wake(self) -> None:
        """Note that there is something on the watchlist."""
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._session.desk.book.watchlist:
                    await self._look_at(self._session.desk.book.watchlist.take())
                    await asyncio.sleep(0)
        finally:
            self._rest.stop()

    async def _look_at(self, image_id: int) -> None:
        if self._rest.is_set:
            self._session.desk.book.watchlist.postpone(image_id)
        else:
            await self._measure(image_id)
        self._session.decide(image_id)  # an answer may be due, whatever is known

    # ---- the allowance -----------------------------------------------------------------------------
    def _charge(self, worked_s: float) -> None:
        now = self._shared.clock()
        wait_s = self._allowance.spend(worked_s, now)
        if wait_s > 0:
            self._rest.set(now + wait_s)

    def _resume(self) -> None:
        self._session.desk.book.watchlist.resume()
        self._wake.set()

    # ---- measuring ---------------------------------------------------------------------------------
    async def _measure(self, image_id: int) -> None:
        """What the controllers read of the newest prefix; only where somebody waits for it.

        One prefix of the server at a time, copied when its turn comes: those that wait hold no copies.
        """
        if self._session.desk.to_measure(image_id) is None:
            return
        async with self._shared.measuring:
            wanted = self._session.desk.to_measure(image_id)
            if wanted is None:
                return
            if wanted.left:
                self._session.desk.book.watchlist.add(image_id)  # when the other sessions have had their turn
            await self._measure_now(image_id, wanted)

    async def _measure_now(self, image_id: int, wanted: Measuring) -> None:
        desk, loop, meter = self._session.desk, asyncio.get_running_loop(), Meter()
        work = (measure, self._shared.cloud, wanted.photo.encoded(), wanted.reads, wanted.texts)
        try:
            made = await loop.run_in_executor(self._shared.observer, meter.run, *work)
        except HeliographError as error:
            desk.fail_measuring(image_id, error)
            self._session.carry_out()
        except Exception:
            log.exception("measuring a prefix failed")
            for question in wanted.questions.values():
                desk.stop_deciding(question)
        else:
            desk.note_measured(wanted, made)
        finally:
            self._charge(meter.worked_s)
