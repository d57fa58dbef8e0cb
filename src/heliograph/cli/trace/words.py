"""Events of a trace in words: a label for every frame, a sentence for everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from heliograph.cli.text import milliseconds, printable

Data = Mapping[str, Any]

DECISIONS = (
    "controller:decided",
    "device:stop_expected",
    "device:budget",
    "plan:made",
    "plan:failed",
    "question:changed",
)
"""Drawn indented under what they decide on."""


def frame_label(data: Data, count: int = 1, payload_bytes: int = 0) -> str:
    """A frame, or ``count`` segments of one photo, on its arrow."""
    name = printable(str(data.get("frame")))
    match name:
        case "SEGMENT":
            return f"{name} ×{count} {payload_bytes} B" if count > 1 else f"{name} {payload_bytes} B"
        case "DRAFT" | "FINAL":
            return f"{name} {_share(data, 'confidence')} {_whole(data, 'bytes')} B"
        case "MORE":
            return f"{name} {_whole(data, 'segments')}"
        case "REGION":
            return f"{name} {_box(data)}"
        case "ERROR":
            return f"{name} {printable(str(data.get('error')))}"
        case _:
            return f"{name} {_whole(data, 'bytes')} B"


def frame_notes(data: Data) -> tuple[str, str]:
    """What to say of a frame beside its arrow: where it left, and where it came."""
    match data.get("frame"):
        case "QUESTION":
            asked = f"question {_whole(data, 'question_id')}{_quoted(data)}: {_how(data)}"
            return asked, ""
        case "IMAGE":
            return f"photo {_whole(data, 'image_id')}: {printable(str(data.get('strategy')))}", ""
        case "DRAFT" | "FINAL":
            flags = ", ".join(printable(str(flag)) for flag in data.get("flags") or ())
            used = _plural(data.get("segments_used"), "segment")
            return "", f"{_quoted(data).strip() or 'answer'} from {used}" + (f" ({flags})" if flags else "")
        case "WELCOME":
            again = ", goes on" if data.get("resumes") else ""
            return printable(str(data.get("model"))) + again, ""
        case _:
            return "", ""


def event_text(name: str, data: Data) -> str:
    """One event that is no frame."""
    words = _WORDS.get(name)
    return printable(name) if words is None else words(data)


def _asked(data: Data) -> str:
    return f"asks{_quoted(data)}: {_how(data)}"


def _how(data: Data) -> str:
    """How a question is to be stopped."""
    parts = [printable(str(data[name])) for name in ("strategy", "controller") if data.get(name) is not None]
    if data.get("target") is not None:
        parts[-1:] = [f"{' '.join(parts[-1:])} {data['target']}".strip()]
    if data.get("budget_bytes") is not None:
        parts.append(f"{data['budget_bytes']} B at most")
    if data.get("answer_within_ms") is not None:
        parts.append(f"within {_ms(data, 'answer_within_ms')}")
    if data.get("region") not in (None, "never"):
        parts.append(f"region {printable(str(data['region']))}")
    return ", ".join(parts)


def _answered(data: Data) -> str:
    up, down = _whole(data, "wire_bytes_up"), _whole(data, "wire_bytes_down")
    payload = _whole(data, "payload_bytes")
    return f"answered in {_ms(data, 'final_ms')}: {payload} B payload, {up} B up, {down} B down"


def _failed(data: Data) -> str:
    return f"fails: {printable(str(data.get('error')))}"


def _encoded(data: Data) -> str:
    segments = _plural(data.get("segments"), "segment")
    return f"encoded {printable(str(data.get('strategy')))}: {segments}, {_whole(data, 'payload_bytes')} B, " + _ms(
        data, "ms"
    )


def _expected(data: Data) -> str:
    place = f"{_whole(data, 'segments')} of {_plural(data.get('total_segments'), 'segment')}"
    return f"expects enough after {place} ({_whole(data, 'payload_bytes')} B)"


def _budget(data: Data) -> str:
    place = f"{_whole(data, 'segments')} of {_plural(data.get('total_segments'), 'segment')}"
    return f"has room for {place} in {_whole(data, 'budget_bytes')} B"


def _planned(data: Data) -> str:
    found = f"plans {printable(str(data.get('name')))}: {_number(data, 'total_s', '.2f')} s, "
    return found + f"{_whole(data, 'payload_bytes')} B ({printable(str(data.get('reason')))})"


def _plan_failed(data: Data) -> str:
    return printable(str(data.get("reason")))


def _opened(data: Data) -> str:
    took = f" in {_ms(data, 'ms')}" if data.get("ms") is not None else ""
    return f"connection {_whole(data, 'connection')} open{took}"


def _closed(data: Data) -> str:
    why = f": {printable(str(data['error']))}" if data.get("error") else ""
    return f"connection {_whole(data, 'connection')} ends{why}"


def _retry(data: Data) -> str:
    return f"tries again in {_ms(data, 'pause_ms')}: {printable(str(data.get('cause')))}"


def _decided(data: Data) -> str:
    decision = printable(str(data.get("decision")))
    if data.get("more") is not None:
        decision += f" {data['more']}"
    if data.get("take_draft"):
        decision += " (the draft)"
    parts = [f"{_whole(data, 'received_bytes')} B"]
    if data.get("chance") is not None:
        parts.append(f"chance {_number(data, 'chance', '.3f')} of {_number(data, 'chance_wanted', '.3f')}")
    if data.get("retained_energy") is not None:
        parts.append(f"energy {_number(data, 'retained_energy', '.3f')}")
    if data.get("agreement") is not None:
        parts.append(f"agreement {_number(data, 'agreement', '.3f')}")
    if data.get("confidence") is not None:
        parts.append(f"draft {_share(data, 'confidence')}")
    for name, words in (("answer_differs", "draft differs"), ("arrived_differs", "would differ")):
        if data.get(name) is not None:
            parts.append(f"{words} {_share(data, name)}")
    if data.get("image_finished"):
        parts.append("photo whole")
    return f"{printable(str(data.get('controller')))}: {decision} ({', '.join(parts)})"


def _changed(data: Data) -> str:
    return f"question {_whole(data, 'question_id')}: {printable(str(data.get('state')))}"


def _job_started(data: Data) -> str:
    purpose = printable(str(data.get("purpose")))
    return f"{purpose} on {_plural(data.get('segments'), 'segment')}, {_whole(data, 'payload_bytes')} B"


def _job_ended(data: Data) -> str:
    done = f"{printable(str(data.get('purpose')))} done in {_ms(data, 'ms')}"
    if data.get("error") is not None:
        return f"{done}: {printable(str(data['error']))}"
    if data.get("box") is not None:
        return f"{done}: region {_box(data)}"
    if data.get("confidence") is None:
        return f"{done}: nothing"
    kept = f", kept {_plural(data['kept_tokens'], 'token')}" if data.get("kept_tokens") else ""
    return f"{done}:{_quoted(data)} {_share(data, 'confidence')}{kept}"


def _lost(data: Data) -> str:
    return f"{_plural(data.get('events'), 'event')} left out: the disk was too slow"


_WORDS: dict[str, Callable[[Data], str]] = {
    "trace:lost": _lost,
    "connection:opened": _opened,
    "connection:closed": _closed,
    "connection:retry": _retry,
    "question:asked": _asked,
    "question:answered": _answered,
    "question:failed": _failed,
    "photo:encoded": _encoded,
    "device:stop_expected": _expected,
    "device:budget": _budget,
    "plan:made": _planned,
    "plan:failed": _plan_failed,
    "controller:decided": _decided,
    "question:changed": _changed,
    "model:job_started": _job_started,
    "model:job_ended": _job_ended,
    "memory:photo_dropped": lambda data: f"photo {_whole(data, 'image_id')} held for long enough: dropped",
    "memory:tokens_dropped": lambda data: "restored tokens dropped for their memory",
    "memory:session_evicted": lambda data: f"no room for the session: {printable(str(data.get('error')))}",
}


def _quoted(data: Data) -> str:
    """The text with a space before it; nothing in a trace without content."""
    text = data.get("text")
    return "" if text is None else f' "{printable(text)}"'


def _share(data: Data, name: str) -> str:
    value = data.get(name)
    return "?" if value is None else f"{value:.0%}"


def _number(data: Data, name: str, form: str) -> str:
    value = data.get(name)
    return "?" if value is None else format(float(value), form)


def _whole(data: Data, name: str) -> str:
    value = data.get(name)
    return "?" if value is None else f"{value:,}"


def _ms(data: Data, name: str) -> str:
    value = data.get(name)
    return "?" if value is None else milliseconds(value)


def _box(data: Data) -> str:
    return ",".join(printable(str(side)) for side in data.get("box") or ())


def _plural(count: int | None, what: str) -> str:
    return f"{'?' if count is None else format(count, ',')} {what}{'' if count == 1 else 's'}"
