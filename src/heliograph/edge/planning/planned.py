"""Ask by plan: how good and how soon; the device decides what to send, when to stop, and where the answer is made.

One question::

    kinds, link, device --make_plan--> candidate --+-- local --------------------------------------> answer
                                                   +-- over the link --+-----------------------> first answer
                                                                       +-- late or broken: local too --+
    what it took --> DeviceTimes (kept on disk), LinkEstimator, LinkWatch --> the next plan
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Set
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from heliograph.clock import now_s
from heliograph.codec.manifest import CURVES
from heliograph.controllers.curves import Curves, candidate_name
from heliograph.controllers.planner import Candidate, Goal, Plan, Situation, duration_text, make_plan
from heliograph.edge.client import DeviceClient
from heliograph.edge.planning.device_times import DeviceTimes, state_path
from heliograph.edge.planning.link_estimate import LinkEstimator, LinkWatch
from heliograph.edge.planning.report import PlannedReport, outcome_text
from heliograph.edge.planning.usable import ANSWER, OF_THE_PHOTO, REFUSALS, engines, loading, usable_on
from heliograph.edge.planning.watched import WatchedConnection
from heliograph.edge.progress import OnProgress
from heliograph.edge.region import RegionSending
from heliograph.edge.report import AskReport, Draft
from heliograph.edge.tracing import DeviceTrace
from heliograph.errors import (
    ConnectionLostError,
    HeliographError,
    ServerBusyError,
    ServerUnreachableError,
    TimedOutError,
)
from heliograph.question import DEFAULT_TIMEOUT_S, FIXED, NO_LIMIT, NO_REGION, Question
from heliograph.strategies.selection import LOCAL
from heliograph.tracing.table import TraceSink
from heliograph.transport.liveness import OPENINGS

if TYPE_CHECKING:
    from PIL.Image import Image

    from heliograph.edge.device import Device
    from heliograph.transport.base import Connection

    PhotoSource = Path | str | Image

_MIN_PROBE_S = 5.0
"""Time limit of one probe; more where opening took long, and the longer the pauses between probes have become."""

_PATIENCE = 2.0
"""The cloud gets at least so many times the expected time before the device begins an answer of its own."""

_RECONNECT_S = 10.0
"""How long a device that can answer by itself tries to get a broken connection back before it does."""

_LINK_ERRORS = (ServerUnreachableError, ServerBusyError, ConnectionLostError, TimedOutError)


class PlannedClient:
    """A :class:`heliograph.edge.client.DeviceClient` that is told how good and how soon, not how.

    Args:
        open_connection: makes an open connection.
        device: encodes photos; its bundle holds the curves.
        access_token: shown to the cloud.
        curves: in place of the bundle's.
        times: how long this device takes; None loads what was kept for this bundle.
        region: policy by which the cloud asks for a region where the plan has one; None leaves such candidates out.
        only: names of the strategies to choose from; None for all.
        clock: seconds, ascending.
        key, on_retry, trace: as of :class:`heliograph.edge.client.DeviceClient`.

    Raises:
        BundleDamagedError: the bundle holds no curves, or damaged ones.
    """

    def __init__(
        self,
        open_connection: Callable[[], Awaitable[Connection]],
        device: Device,
        access_token: str = "",
        *,
        curves: Curves | None = None,
        times: DeviceTimes | None = None,
        region: str | None = "always",
        only: frozenset[str] | None = None,
        clock: Callable[[], float] = now_s,
        key: bytes = b"",
        on_retry: Callable[[HeliographError], None] | None = None,
        trace: TraceSink | None = None,
    ) -> None:
        self._trace = None if trace is None else DeviceTrace(trace)
        self._curves = curves or Curves.load(device.bundle.file(CURVES))
        self._times = times or DeviceTimes.load(state_path(device.bundle_hash))
        self._open_inner = open_connection
        self._region = region
        named = {name for curve in self._curves.curves for name in (curve.strategy, curve.crop)}
        known = usable_on(device, named)
        self._usable = frozenset(known if only is None else known & only)
        self._clock = clock
        reconnect_s = _RECONNECT_S if LOCAL in self._usable else None
        self._client = DeviceClient(
            self._open, device, access_token, clock, reconnect_s, key=key, on_retry=on_retry, trace=trace
        )
        # answers while the other one waits, and opens no connection
        self._alone = DeviceClient(self._open, device, access_token, clock, key=key, trace=trace)
        self._link, self._watch = LinkEstimator(), LinkWatch()
        self._watched: WatchedConnection | None = None
        self._opening_s = 0.0
        self._loaded: set[str] = set()
        self._probing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, if there is one, and keep what was learned about the device."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._client.close()
        await asyncio.to_thread(self._times.save)

    def plan(
        self, photo: PhotoSource, question: str, goal: Goal, *, alone: bool = False, without: Set[str] = frozenset()
    ) -> Plan:
        """What would be done now; ``alone`` without the link, and ``without`` some strategies.

        Raises:
            UsageError: nothing can answer.
            HeliographError: of the photo, where the cloud holds others.
        """
        factor, samples = self._times.factor(self._curves)
        up = self._watch.up or LOCAL not in self._usable  # whoever has nothing else tries it
        link = replace(self._link.estimate(self._clock()), up=up)
        situation = Situation(
            link,
            connected=self._client.connected,
            device_factor=factor,
            device_samples=samples,
            encode_s=self._times.encode_s,
            loading_s=self._loading_s(),
            local_answer_s=self._times.encode_s.get(ANSWER),
            strategies=self._usable & {LOCAL} if alone else self._usable - without,
            region=self._region is not None,
            held=self._held_of(photo),
            kinds=self._curves.kinds.shares(question),
        )
        return make_plan(self._curves, situation, goal)

    async def ask(
        self,
        photo: PhotoSource,
        question: str | Question,
        goal: Goal,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        on_draft: Callable[[Draft], None] | None = None,
        on_progress: OnProgress | None = None,
        on_plan: Callable[[Plan], None] | None = None,
    ) -> PlannedReport:
        """Ask, and wait for the final answer.

        Args:
            photo: a file, or an RGB picture.
            question: its controller, target and region are the plan's.
            goal: what the plan aims at.
            timeout_s: for everything together, in seconds; then the question ends without an answer.
            on_draft: called with every draft.
            on_progress: called while the photo is encoded and sent.
            on_plan: called with every plan before it is carried out.

        Raises:
            HeliographError: as ``DeviceClient.ask``; a broken link only where the device cannot answer by itself.
        """
        started_s = self._clock()
        question, left = Question.of(question), goal
        decisions, refused = list[str](), set[str]()
        if self._trace is not None:
            on_plan = self._trace.planned_too(on_plan)
        while True:
            plan = self.plan(photo, question.text, left, without=refused)
            decisions.append(f"{plan.chosen.name}: {plan.rule}")
            if on_plan is not None:
                on_plan(plan)
            left_s = max(timeout_s - (self._clock() - started_s), 0.001)
            try:
                return await self._carried_out(plan, decisions, photo, question, left_s, on_draft, on_progress, on_plan)
            except REFUSALS as error:
                chosen = plan.chosen.strategy
                refused.add(chosen)
                if plan.chosen.crop or chosen == LOCAL or not self._usable - refused:
                    raise  # it is not to blame, or nothing is left
                passing = isinstance(error, OF_THE_PHOTO)
                self._usable -= frozenset() if passing else {chosen}
                how_long = "for this question" if passing else "from now on"
                self._decided(decisions, f"{error.name}: {chosen} is left out {how_long}")
                left = goal.after(self._clock() - started_s)

    def _decided(self, decisions: list[str], text: str) -> None:
        """Note why a plan is not the last one."""
        decisions.append(text)
        if self._trace is not None:
            self._trace.plan_failed(text)

    async def _carried_out(
        self,
        plan: Plan,
        decisions: list[str],
        photo: PhotoSource,
        question: Question,
        timeout_s: float,
        on_draft: Callable[[Draft], None] | None,
        on_progress: OnProgress | None,
        on_plan: Callable[[Plan], None] | None,
    ) -> PlannedReport:
        """The answer by a plan, or by the device itself where its link is late or broken."""
        started_s = self._clock()
        if plan.chosen.strategy == LOCAL:
            self._probe_if_due()
            report = await self._by_itself(photo, question, plan.chosen, timeout_s)
            return PlannedReport(report, plan, (*decisions, outcome_text(plan.chosen, report)))
        sending = asyncio.create_task(self._over_link(photo, question, plan.chosen, timeout_s, on_draft, on_progress))
        try:
            await asyncio.wait((sending,), timeout=self._patience_s(plan, timeout_s))
            if LOCAL not in self._usable or (sending.done() and not _link_failed(sending)):
                return PlannedReport(report := await sending, plan, (*decisions, outcome_text(plan.chosen, report)))
            spent_s = self._clock() - started_s
            own = self.plan(photo, question.text, plan.goal.after(spent_s), alone=True)
            why = f"{_why(sending)} after {duration_text(spent_s)}: the device answers by itself meanwhile"
            self._decided(decisions, why)
            if on_plan is not None:
                on_plan(own)
            report = await self._first_of(sending, self._by_itself(photo, question, own.chosen, timeout_s))
            plan = own if report.strategy == LOCAL else plan
            return PlannedReport(report, plan, (*decisions, outcome_text(plan.chosen, report)))
        except _LINK_ERRORS:
            self._lost()
            raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    # ---- by itself -------------------------------------------------------------------------------------
    async def _by_itself(
        self, photo: PhotoSource, question: Question, candidate: Candidate, timeout_s: float
    ) -> AskReport:
        report = await self._alone.ask(photo, question, strategy=LOCAL, timeout_s=timeout_s)
        self._note_encoding(candidate, report.encode_ms / 1000)
        self._note_answer((report.final_ms - report.encode_ms) / 1000)
        return report

    async def _first_of(self, sending: asyncio.Task[AskReport], local: Coroutine[Any, Any, AskReport]) -> AskReport:
        """The first answer; where it is the device's own, the link is taken for broken."""
        own = asyncio.create_task(local)
        if not sending.done():
            await asyncio.wait((sending, own), return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and not sending.cancelled() and sending.exception() is None:
            own.cancel()
            return sending.result()
        self._lost()
        return await own

    # ---- over the link ---------------------------------------------------------------------------------
    async def _over_link(
        self,
        photo: PhotoSource,
        question: Question,
        candidate: Candidate,
        timeout_s: float,
        on_draft: Callable[[Draft], None] | None,
        on_progress: OnProgress | None,
    ) -> AskReport:
        if self._client.connected and self._watched is not None:
            self._watched.begin()
        asked = replace(question, controller=FIXED, target=NO_LIMIT, region=NO_REGION)
        sending: RegionSending | None = None
        if candidate.crop and self._region is not None:
            asked = replace(asked, region=self._region)
            sending = RegionSending(candidate.crop, candidate.crop_setting)
        report = await self._client.ask(
            photo,
            asked,
            strategy=candidate.strategy,
            setting=candidate.setting,
            region_sending=sending,
            timeout_s=timeout_s,
            on_draft=on_draft,
            on_progress=on_progress,
        )
        self._watch.answered()
        if report.encode_ms > 0:
            self._note_encoding(candidate, report.encode_ms / 1000)
        if self._watched is not None and not candidate.crop:  # two crossings at once tell less than one
            for seen in self._watched.observations(candidate.cloud_s):
                self._link.note(seen)
        return report

    def _held_of(self, photo: PhotoSource) -> frozenset[str]:
        """Names of the candidates whose photo the cloud holds; the client that sends it knows."""
        sent = [curve for curve in self._curves.curves if curve.strategy in self._usable - {LOCAL}]
        settings = [(curve.strategy, point.setting) for curve in sent for point in curve.points]
        return frozenset(candidate_name(*one) for one in self._client.held(photo, settings))

    async def _open(self) -> Connection:
        asked_s = self._clock()
        self._watched = None
        inner = await self._open_inner()
        self._opening_s = self._clock() - asked_s
        self._watched = WatchedConnection(inner, self._clock, asked_s)
        return self._watched

    def _lost(self) -> None:
        self._watch.failed(self._clock())

    def _patience_s(self, plan: Plan, timeout_s: float) -> float:
        """How long to wait for the cloud alone: so long that a local answer would still be in time."""
        local = [c.total_s for c in plan.candidates if c.strategy == LOCAL]
        if plan.goal.answer_within_s is None or not local:
            return timeout_s
        return min(timeout_s, max(_PATIENCE * plan.chosen.total_s, plan.goal.answer_within_s - min(local)))

    # ---- how long the device takes ---------------------------------------------------------------------
    def _note_encoding(self, candidate: Candidate, seconds: float) -> None:
        """The first use in a process loads what it needs: what that cost is kept apart."""
        name = candidate_name(candidate.strategy, candidate.setting)
        missing = [engine for engine in engines(candidate.strategy) if engine not in self._loaded]
        if not missing:
            self._times.note(name, seconds)
            return
        self._loaded.update(missing)
        self._times.note(loading(missing[0]), seconds - self._usual_s(candidate))

    def _note_answer(self, seconds: float) -> None:
        if ANSWER in self._loaded:
            self._times.note(ANSWER, seconds)
            return
        self._loaded.add(ANSWER)
        factor, _ = self._times.factor(self._curves)
        self._times.note(loading(ANSWER), seconds - factor * self._curves.answer_ms[LOCAL] / 1000)

    def _usual_s(self, candidate: Candidate) -> float:
        """Encoding without loading, as it was measured or as the curves say."""
        known = self._times.encode_s
        factor, _ = self._times.factor(self._curves)
        same = (p for c in self._curves.curves if c.strategy == candidate.strategy for p in c.points)
        curve_s = next(p.encode_ms for p in same if p.setting == candidate.setting) / 1000
        return known.get(
            candidate_name(candidate.strategy, candidate.setting), known.get(candidate.strategy, factor * curve_s)
        )

    def _loading_s(self) -> dict[str, float]:
        known = self._times.encode_s
        found = {}
        for name in sorted(self._usable):
            needed = (*engines(name), *([ANSWER] if name == LOCAL else []))
            found[name] = sum(known.get(loading(engine), 0.0) for engine in needed if engine not in self._loaded)
        return {name: value for name, value in found.items() if value > 0}

    # ---- is the link back? -----------------------------------------------------------------------------
    def _probe_if_due(self) -> None:
        """Look for the link beside the question, which does not wait for it."""
        idle = self._probing is None or self._probing.done()
        if idle and self._watch.probe_due(self._clock()):
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Opening a connection, some 300 bytes, and closing it."""
        try:
            async with asyncio.timeout(max(_MIN_PROBE_S, OPENINGS * self._opening_s, self._watch.wait_s)):
                connection = await self._open_inner()
            self._watch.probed(self._clock())
            await connection.close()
        except (TimeoutError, HeliographError):
            self._watch.failed(self._clock())


def _link_failed(sending: asyncio.Task[AskReport]) -> bool:
    return isinstance(sending.exception(), _LINK_ERRORS)


def _why(sending: asyncio.Task[AskReport]) -> str:
    """What is wrong with the link."""
    error = sending.exception() if sending.done() else None
    return error.name if isinstance(error, HeliographError) else "no answer"
