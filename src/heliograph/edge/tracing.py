"""What a device writes into its trace. Made only where there is one: whoever holds none builds no event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from heliograph.edge.report import AskReport
from heliograph.errors import HeliographError
from heliograph.protocol.session import DeviceSession
from heliograph.question import Question
from heliograph.tracing.frames import FrameRecorder
from heliograph.tracing.table import TraceSink
from heliograph.types import EncodedImage

if TYPE_CHECKING:
    from heliograph.controllers.planner import Plan

_SESSION = 1  # numbers of photos and questions are a client's own, over all its sessions
_MS_PER_S = 1e3


class DeviceTrace:
    """The events of one client.

    Args:
        sink: takes them.
        authenticated: its sessions are.
    """

    def __init__(self, sink: TraceSink, *, authenticated: bool = False) -> None:
        self._sink = sink
        self._frames = FrameRecorder(sink, _SESSION, authenticated=authenticated)
        self._connections = 0

    # ---- connections -----------------------------------------------------------------------------------
    def opened(self, session: DeviceSession, opening_s: float) -> None:
        """A connection is open; the session on it is about to greet."""
        self._connections += 1
        self._sink("connection:opened", self._on_connection() | {"ms": opening_s * _MS_PER_S})
        self._frames.on_connection(self._connections)
        session.on_frame = self._frames.on_frame

    def closed(self, error: HeliographError | None) -> None:
        """The connection is let go, because of an error or in order."""
        fields = {} if error is None else {"error": error.name}
        self._sink("connection:closed", self._on_connection() | fields)

    def retry(self, cause: HeliographError, pause_s: float, *, busy: bool) -> None:
        """Another attempt follows after a pause."""
        self._sink("connection:retry", {"cause": cause.name, "busy": busy, "pause_ms": pause_s * _MS_PER_S})

    def _on_connection(self) -> dict[str, Any]:
        return {"connection": self._connections, "session": _SESSION}

    # ---- questions -------------------------------------------------------------------------------------
    async def follow(self, question: Question, strategy: str, asking: Awaitable[AskReport]) -> AskReport:
        """Ask, and record how it ended; raises what ``asking`` raises."""
        self.asked(question, strategy)
        try:
            report = await asking
        except BaseException as error:
            self.failed(error)
            raise
        self.answered(report)
        return report

    def asked(self, question: Question, strategy: str) -> None:
        """Somebody asks."""
        fields: dict[str, Any] = {
            "text": question.text,
            "strategy": strategy,
            "controller": question.effective_controller,
            "target": question.effective_target,
            "judged_by": question.confidence,
            "region": question.region,
            "max_answer_tokens": question.max_answer_tokens,
        }
        if question.byte_budget is not None:
            fields["budget_bytes"] = question.byte_budget
        if question.answer_within_s is not None:
            fields["answer_within_ms"] = question.answer_within_s * _MS_PER_S
        self._sink("question:asked", fields)

    def answered(self, report: AskReport) -> None:
        """The final answer is there."""
        flags = {
            "looked": report.looked,
            "region-missed": report.region_missed,
            "controller-failed": report.controller_failed,
        }
        fields = {
            "text": report.answer,
            "confidence": report.confidence,
            "strategy": report.strategy,
            "payload_bytes": report.payload_bytes,
            "wire_bytes_up": report.wire_bytes_up,
            "wire_bytes_down": report.wire_bytes_down,
            "encode_ms": report.encode_ms,
            "final_ms": report.final_ms,
            "regions_sent": report.regions_sent,
            "reconnections": report.reconnections,
            "flags": [name for name, is_set in flags.items() if is_set],
        }
        self._sink("question:answered", fields)

    def failed(self, error: BaseException) -> None:
        """A question ends without an answer."""
        name = error.name if isinstance(error, HeliographError) else type(error).__name__
        self._sink("question:failed", {"session": _SESSION, "error": name})

    # ---- decisions -------------------------------------------------------------------------------------
    def encoded(self, encoded: EncodedImage, encode_ms: float) -> None:
        """The photo's stream is ready; from any thread."""
        fields = {
            "strategy": encoded.strategy,
            "segments": len(encoded.segments),
            "payload_bytes": encoded.payload_bytes,
            "ms": encode_ms,
            "bundle_hash": encoded.bundle_hash.hex(),
        }
        self._sink("photo:encoded", fields)

    def stop_expected(
        self, image_id: int, question: Question, encoded: EncodedImage, expected: int | None, within: int
    ) -> None:
        """Where the stream is expected to end.

        Args:
            image_id: of the photo.
            question: with its controller and byte budget.
            encoded: the whole stream.
            expected: segments after which the cloud will have enough; None where it asks for every chunk.
            within: segments that the byte budget leaves room for.
        """
        if expected is not None:
            fields = self._prefix(image_id, encoded, expected) | {"controller": question.effective_controller}
            self._sink("device:stop_expected", fields)
        if question.byte_budget is not None:
            bounded = self._prefix(image_id, encoded, within) | {"budget_bytes": question.byte_budget}
            self._sink("device:budget", bounded)

    def _prefix(self, image_id: int, encoded: EncodedImage, segments: int) -> dict[str, Any]:
        return {
            "image_id": image_id,
            "segments": segments,
            "payload_bytes": encoded.prefix(segments).payload_bytes,
            "total_segments": len(encoded.segments),
        }

    def planned(self, plan: Plan) -> None:
        """The device has planned what to send."""
        chosen, goal = plan.chosen, plan.goal
        fields: dict[str, Any] = {
            "name": chosen.name,
            "reason": plan.rule,
            "quality": goal.quality,
            "total_s": chosen.total_s,
            "payload_bytes": round(chosen.payload_bytes),
            "notes": list(plan.notes),
            "candidates": [
                {"name": one.name, "quality": one.quality, "total_s": one.total_s, "payload_bytes": one.payload_bytes}
                for one in plan.candidates
            ],
        }
        if goal.answer_within_s is not None:
            fields["answer_within_ms"] = goal.answer_within_s * _MS_PER_S
        self._sink("plan:made", fields)

    def plan_failed(self, reason: str) -> None:
        """A plan did not do what it should, and another one takes its place."""
        self._sink("plan:failed", {"reason": reason})

    def planned_too(self, on_plan: Callable[[Plan], None] | None) -> Callable[[Plan], None]:
        """What is called with every plan, and records it."""

        def both(plan: Plan) -> None:
            self.planned(plan)
            if on_plan is not None:
                on_plan(plan)

        return both
