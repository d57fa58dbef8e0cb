"""What a cloud writes into its trace. Made only where there is one: whoever holds none builds no event."""

from __future__ import annotations

from itertools import count
from typing import Any

from heliograph.codec.calibration import Calibration, Signals
from heliograph.controllers.base import MAX_TARGET, Decision, More, Observation
from heliograph.controllers.push import ERROR_HEAD
from heliograph.errors import HeliographError
from heliograph.protocol.session import CloudSession
from heliograph.question import PULL, PUSH, Question
from heliograph.serving.desk.book import QuestionBook, Step
from heliograph.serving.jobs import AnswerJob, Outcome, Purpose
from heliograph.tracing.frames import FrameRecorder
from heliograph.tracing.table import TraceSink

_MS_PER_S = 1e3


class CloudTrace:
    """Numbers the connections and sessions of one server.

    Args:
        sink: takes the events.
        calibration: that controllers read, to say how likely an answer was.
    """

    def __init__(self, sink: TraceSink, calibration: Calibration | None = None) -> None:
        self.sink, self.calibration = sink, calibration
        self._connections, self._sessions = count(1), count(1)

    def connection(self, session: CloudSession, book: QuestionBook) -> SessionTrace:
        """A device has connected, with a session of its own until it shows that it goes on with another one."""
        return SessionTrace(self, next(self._connections), next(self._sessions), session, book)


class SessionTrace:
    """The events of one connection and its session.

    Attributes:
        number: of the session.
    """

    def __init__(
        self, trace: CloudTrace, connection: int, number: int, session: CloudSession, book: QuestionBook
    ) -> None:
        self._sink, self._calibration, self._connection = trace.sink, trace.calibration, connection
        self._frames = FrameRecorder(trace.sink, number)
        self._frames.on_connection(connection)
        session.on_frame = self._frames.on_frame
        book.watcher = self._on_step
        self._sink("connection:opened", {"connection": connection, "session": number})

    @property
    def number(self) -> int:
        """Number of the session."""
        return self._frames.session

    def resume(self, number: int, book: QuestionBook) -> None:
        """The device goes on with an earlier session."""
        self._frames.session = number
        book.watcher = self._on_step

    def closed(self, error: type[HeliographError] | None) -> None:
        """The connection has ended."""
        fields = {} if error is None else {"error": error.name}
        self._sink("connection:closed", {"connection": self._connection, "session": self.number} | fields)

    # ---- questions -------------------------------------------------------------------------------------
    def _on_step(self, step: Step) -> None:
        facts, question = step.facts, step.question
        if "observation" in facts:
            self._decided(step, facts["observation"], facts["decision"])
        if question.state is not step.before:
            fields = {"before": step.before.value, "state": question.state.value, "event": step.event.value}
            self._sink("question:changed", self._about(step.question_id) | fields)

    def _decided(self, step: Step, seen: Observation, decision: Decision) -> None:
        asked = step.question.asked
        fields = {
            "image_id": asked.image_id,
            "controller": asked.question.effective_controller,
            "target": asked.question.effective_target,
            "judged_by": asked.question.confidence,
            "decision": type(decision).__name__.lower(),
        }
        if isinstance(decision, More):
            fields["more"] = decision.segments
        elif getattr(decision, "take_draft", False):
            fields["take_draft"] = True
        chances = self._chances(asked.question, seen)
        self._sink("controller:decided", self._about(step.question_id) | fields | chances | _seen(seen))

    def _chances(self, question: Question, seen: Observation) -> dict[str, float]:
        """What ``push`` and ``pull`` compare, from the calibration that they read."""
        if self._calibration is None or question.effective_controller not in (PUSH, PULL):
            return {}
        name = ERROR_HEAD if question.effective_controller == PULL else question.confidence
        signals: Signals | None = seen.arrived if name == ERROR_HEAD else seen.draft
        if signals is None:
            return {}
        try:
            chance, wanted = self._calibration.weighed(name, signals, question.effective_target / MAX_TARGET)
        except HeliographError:  # nobody has fitted this one
            return {}
        return {"chance": chance, "chance_wanted": wanted}

    def _about(self, question_id: int) -> dict[str, Any]:
        return {"session": self.number, "question_id": question_id}

    # ---- the model -------------------------------------------------------------------------------------
    def job_started(self, job: AnswerJob) -> None:
        """The model begins a piece of work."""
        fields = self._job(job) | {"payload_bytes": job.encoded.payload_bytes}
        if job.purpose is Purpose.LOOK:
            price = job.price
            fields |= {
                "region": job.question.region,
                "rate_bit_s": price.rate_bit_s,
                "region_bytes": price.region_bytes,
                "looks": price.looks,
                "most_looks": price.most_looks,
            }
            if price.budget_bytes is not None:
                fields["budget_bytes"] = price.budget_bytes
        self._sink("model:job_started", fields)

    def job_ended(self, job: AnswerJob, outcome: Outcome) -> None:
        """The model has done it, well or not."""
        fields = self._job(job) | {"ms": outcome.seconds * _MS_PER_S}
        if outcome.answer is not None:
            answer = outcome.answer
            fields |= {
                "text": answer.text,
                "confidence": answer.confidence,
                "min_entropy_bits": answer.min_entropy_bits,
                "entropy_bits": answer.entropy_bits,
                "margin": answer.margin,
                "token_ids": answer.token_ids,
                "kept_tokens": outcome.kept_tokens,
            }
        if outcome.expectation is not None:
            fields["answer_differs"] = outcome.expectation.answer_differs
        if outcome.energy is not None:
            fields["retained_energy"] = outcome.energy
        if outcome.box is not None:
            fields["box"] = outcome.box
        if outcome.error is not None:
            fields["error"] = outcome.error.name
        self._sink("model:job_ended", fields)

    def _job(self, job: AnswerJob) -> dict[str, Any]:
        fields = {"image_id": job.image_id, "purpose": job.purpose.value, "segments": len(job.encoded.segments)}
        return self._about(job.question_id) | fields

    # ---- memory ----------------------------------------------------------------------------------------
    def photo_dropped(self, image_id: int) -> None:
        """A photo was held for long enough."""
        self._sink("memory:photo_dropped", {"session": self.number, "image_id": image_id})

    def tokens_dropped(self) -> None:
        """Restored tokens gave their memory back."""
        self._sink("memory:tokens_dropped", {"session": self.number})

    def evicted(self, error: type[HeliographError]) -> None:
        """Record that there is no room for the session."""
        self._sink("memory:session_evicted", {"session": self.number, "error": error.name})


def _seen(seen: Observation) -> dict[str, Any]:
    """What a controller saw; what nobody knows is left out."""
    fields: dict[str, Any] = {
        "received_bytes": seen.received_bytes,
        "segments": seen.segments,
        "image_finished": seen.image_finished,
        "total_segments": seen.total_segments,
        "asked_segments": seen.asked_segments,
        "elapsed_s": seen.elapsed_s,
        "answer_s": seen.answer_s,
        "retained_energy": seen.retained_energy,
        "agreement": seen.agreement,
        "confidence": seen.draft_confidence,
        "arrived_differs": None if seen.arrived is None else seen.arrived.answer_differs,
    }
    if seen.draft is not None:
        drafted = {"answer_differs": seen.draft.answer_differs, "stable_drafts": seen.draft.stable_drafts}
        fields |= drafted | {"draft_segments": seen.draft_segments}
    return {name: value for name, value in fields.items() if value is not None}
