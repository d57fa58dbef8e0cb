"""A trace as a ladder in text, at most 100 columns wide: device, link and cloud, time downwards.

::

       ms device                 link                           cloud
      8.1 question 0 "what?"     |- QUESTION 27 B ------------->|
     61.0                        |                              |   energy: wait (64 B)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from heliograph.cli.text import display_width, shortened
from heliograph.cli.trace.words import DECISIONS, event_text, frame_label, frame_notes
from heliograph.tracing.merging import DOWN, UP, Merged, Step, uninterrupted
from heliograph.tracing.table import DEVICE

_TIME, _SIDE, _LINK = 9, 27, 32
_INDENT = "  "
_MAX_LINES = 6
_LOST_END, _OPEN_END = "✕", " "


@dataclass
class Arrow:
    """One frame, or several segments of one photo, on the link.

    Attributes:
        step: of the first of them.
        count: of frames.
        payload_bytes: of segments.
        left, came: it is drawn where it left, where it came, or both.
        arrived_ms: of the last one, where it is known and both ends are drawn.
        lost: it left, and is known not to have come.
    """

    step: Step
    count: int
    payload_bytes: int
    left: bool
    came: bool
    arrived_ms: float | None = None
    lost: bool = False

    def takes(self, other: Arrow) -> bool:
        """Whether the next one is drawn on the same line: segments of one photo."""
        mine, its = self.step.event.data, other.step.event.data
        same = all(mine.get(name) == its.get(name) for name in ("frame", "image_id", "connection"))
        alike = (self.left, self.came, self.lost) == (other.left, other.came, other.lost)
        return same and alike and mine.get("frame") == "SEGMENT" and self.step.direction == other.step.direction

    @property
    def label(self) -> str:
        """The text on the arrow."""
        return frame_label(self.step.event.data, self.count, self.payload_bytes)


def arrows_and_events(merged: Merged) -> list[Arrow | Step]:
    """What is to be drawn, in order; segments in a row are one arrow."""
    whole, found = uninterrupted(merged.steps), list[Arrow | Step]()
    for place, step in enumerate(merged.steps):
        if not step.direction:
            found.append(step)
            continue
        if whole[place] and not step.sent:
            continue  # drawn where it left
        arrow = _arrow(merged, step, whole[place])
        before = found[-1] if found else None
        if isinstance(before, Arrow) and before.takes(arrow):
            before.count, before.payload_bytes = before.count + 1, before.payload_bytes + arrow.payload_bytes
            before.arrived_ms = arrow.arrived_ms
        else:
            found.append(arrow)
    return found


def _arrow(merged: Merged, step: Step, whole: bool) -> Arrow:
    payload_bytes = step.event.data.get("payload_bytes") or 0
    alone = not step.matched  # only one end was traced: it is drawn from one side to the other
    partner = None if step.partner is None else merged.steps[step.partner]
    arrived_ms = partner.time_ms if whole and partner is not None else None
    lost = step.matched and step.sent and partner is None
    left, came = (True, True) if whole or alone else (step.sent, not step.sent)
    return Arrow(step, 1, payload_bytes, left, came, arrived_ms, lost)


def start_of(merged: Merged) -> float:
    """When the first event was, in ms; what came before is the program's loading."""
    return min((step.time_ms for step in merged.steps), default=0.0)


def ladder(merged: Merged) -> str:
    """The whole picture; times count from the first event."""
    start_ms = start_of(merged)
    head = f"{'ms':>{_TIME}} {'device':<{_SIDE}} {'link':^{_LINK + 2}} cloud"
    rule = f"{'':->{_TIME}} {'':-<{_SIDE}} {'':-<{_LINK + 2}} {'':-<{_SIDE}}"
    lines = [head, rule]
    for item in arrows_and_events(merged):
        lines += _arrow_lines(item, start_ms) if isinstance(item, Arrow) else _event_lines(item, start_ms)
    return "\n".join(line.rstrip() for line in lines)


def _arrow_lines(arrow: Arrow, start_ms: float) -> Iterator[str]:
    leaving, coming = frame_notes(arrow.step.event.data)
    up = arrow.step.direction == UP
    device, cloud = (leaving, coming) if up else (coming, leaving)
    if not arrow.left:
        device, cloud = ("", cloud) if up else (device, "")
    if not arrow.came:
        device, cloud = (device, "") if up else ("", cloud)
    yield from _lines(arrow.step.time_ms - start_ms, device, _drawn(arrow), cloud)


def _drawn(arrow: Arrow) -> str:
    """The link's column: the arrow from side to side, or the half of it that happened now."""
    label = arrow.label
    if arrow.arrived_ms is not None and arrow.arrived_ms - arrow.step.time_ms >= 0.05:
        label += f" +{arrow.arrived_ms - arrow.step.time_ms:.1f} ms"
    label = f" {shortened(label, _LINK - 6)} "
    room = _LINK - display_width(label)
    if arrow.left and arrow.came and not arrow.lost:
        body = f"─{label}{'─' * (room - 2)}▶" if arrow.step.direction == UP else f"◀{'─' * (room - 2)}{label}─"
    elif arrow.left:
        tail = _LOST_END if arrow.lost else _OPEN_END
        rest = "╌" * (room // 2)
        body = f"─{label}{rest}{tail}".ljust(_LINK)
        if arrow.step.direction == DOWN:
            body = f"{tail}{rest}{label}─".rjust(_LINK)
    else:
        rest = "╌" * (room // 2)
        body = f"{rest}{label}▶".rjust(_LINK)
        if arrow.step.direction == DOWN:
            body = f"◀{label}{rest}".ljust(_LINK)
    starts = arrow.left and arrow.step.direction == UP
    ends = arrow.left and arrow.step.direction == DOWN
    return f"{'├' if starts else '│'}{body}{'┤' if ends else '│'}"


def _event_lines(step: Step, start_ms: float) -> Iterator[str]:
    text = event_text(step.event.name, step.event.data)
    indent = _INDENT if step.event.name in DECISIONS else ""
    device, cloud = (text, "") if step.side == DEVICE else ("", text)
    yield from _lines(step.time_ms - start_ms, device, f"│{' ' * _LINK}│", cloud, indent)


def _lines(time_ms: float, device: str, link: str, cloud: str, indent: str = "") -> Iterator[str]:
    left, right = _wrapped(device, indent), _wrapped(cloud, indent)
    for number in range(max(len(left), len(right), 1)):
        time = f"{time_ms:,.1f}" if number == 0 else ""
        middle = link if number == 0 else f"│{' ' * _LINK}│"
        shown = left[number] if number < len(left) else ""
        padding = " " * (_SIDE - display_width(shown))
        yield f"{time:>{_TIME}} {shown}{padding} {middle} {right[number] if number < len(right) else ''}"


def _wrapped(text: str, indent: str) -> Sequence[str]:
    """Text wrapped into a column of its own; wide characters count twice, so a line with them is wrapped earlier."""
    if not text:
        return []
    wide = display_width(text) > len(text)
    lines = wrap(
        text, _SIDE // 2 if wide else _SIDE, initial_indent=indent, subsequent_indent=indent + _INDENT, max_lines=99
    )
    return lines if len(lines) <= _MAX_LINES else [*lines[: _MAX_LINES - 1], f"{indent}{_INDENT}…"]
