"""Counters of one server in the Prometheus text format (version 0.0.4), without a dependency."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass
class Metrics:
    """What the server has done since it started; every field is one counter, except gauges (``*_open``)."""

    connections_open: int = 0
    connections_total: int = 0
    connections_dropped_total: int = 0
    requests_refused_total: int = 0
    tokens_refused_total: int = 0
    sessions_open: int = 0
    sessions_total: int = 0
    sessions_refused_total: int = 0
    questions_total: int = 0
    questions_refused_total: int = 0
    drafts_total: int = 0
    finals_total: int = 0
    errors_total: int = 0
    received_bytes_total: int = 0
    sent_bytes_total: int = 0
    held_bytes_open: int = 0
    model_jobs_total: int = 0
    model_seconds_total: float = 0.0
    jobs_cancelled_total: int = 0
    drafts_shed_total: int = 0
    looks_shed_total: int = 0
    queueing_seconds_sum: float = 0.0
    queueing_seconds_count: int = 0
    draft_tokens_kept_total: int = 0
    first_draft_seconds_sum: float = 0.0
    first_draft_seconds_count: int = 0
    final_seconds_sum: float = 0.0
    final_seconds_count: int = 0

    def note_queueing(self, seconds: float) -> None:
        """Something that a device waits for was begun after so long."""
        self.queueing_seconds_sum += seconds
        self.queueing_seconds_count += 1

    def render(self) -> str:
        """The exposition text: one help, type and value line per counter."""
        lines: list[str] = []
        for field in fields(self):
            name = f"heliograph_{field.name}"
            kind = "gauge" if field.name.endswith("_open") else "counter"
            lines += [f"# HELP {name} {_HELP[field.name]}", f"# TYPE {name} {kind}"]
            lines.append(f"{name} {getattr(self, field.name)}")
        return "\n".join(lines) + "\n"


_HELP = {
    "connections_open": "Connections open now, sessions among them.",
    "connections_total": "Connections accepted.",
    "connections_dropped_total": "Connections ended because they were late or made room for others.",
    "requests_refused_total": "Requests refused for their Origin or Host.",
    "tokens_refused_total": "Access tokens that were missing or wrong.",
    "sessions_open": "Sessions open now.",
    "sessions_total": "Sessions greeted.",
    "sessions_refused_total": "Sessions turned away because the server was full, or answers waited for too long.",
    "questions_total": "Questions asked.",
    "questions_refused_total": "Questions answered with server-busy, as answers waited for too long.",
    "drafts_total": "Draft answers made by the model.",
    "finals_total": "Final answers sent.",
    "errors_total": "Questions and sessions that ended with a named error.",
    "received_bytes_total": "Bytes of websocket messages received, without framing.",
    "sent_bytes_total": "Bytes of websocket messages sent, without framing.",
    "held_bytes_open": "Memory of all sessions now, those kept for going on included, in bytes.",
    "model_jobs_total": "Jobs run by the model thread.",
    "model_seconds_total": "Seconds spent by the model thread.",
    "jobs_cancelled_total": "Jobs that were begun and then not wanted any more: cancelled, or the photo forgotten.",
    "drafts_shed_total": "Drafts left undone, as final answers waited for the model.",
    "looks_shed_total": "Looks at a region left undone, as final answers waited for the model.",
    "queueing_seconds_sum": "Seconds that final answers and looks waited for the model, summed.",
    "queueing_seconds_count": "Final answers and looks in that sum.",
    "draft_tokens_kept_total": "Answer tokens that verification kept instead of generating them again.",
    "first_draft_seconds_sum": "Seconds from question to first draft or final answer, summed.",
    "first_draft_seconds_count": "Questions in that sum.",
    "final_seconds_sum": "Seconds from question to final answer, summed.",
    "final_seconds_count": "Questions in that sum.",
}
