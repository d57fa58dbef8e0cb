"""Radios and boards: how bytes become packets, airtime and constants x quantities.

::

    messages --websocket framing, or none--> bytes --max_payload_bytes--> packets --airtime--> seconds
                                                                             `--> Traffic(packets, airtime_s)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields

from heliograph.energy.airtime import Airtime, LoRa, Rate, Transfer
from heliograph.energy.constants import Catalogue, Constant, Entry
from heliograph.errors import UsageError

UPGRADE_BYTES = 157
"""What a device writes to open a websocket to ``cloud.example:8765``: the HTTP upgrade."""

_MAX_CORES = 1024
_LORA_FIELDS = ("spreading_factor", "bandwidth_hz", "coding_rate", "preamble_symbols")
_AIRTIME_FIELDS = (*_LORA_FIELDS, "rate", "packet_s", "base_s", "base_bytes", "byte_s")
_MASK_BYTES = 4


@dataclass(frozen=True)
class Board:
    """A device's board.

    Attributes:
        name, about: how it is asked for, and what it is.
        cores: of its processor.
        idle, busy: W with nothing to do, and with every core busy.
    """

    name: str
    about: str
    cores: int
    idle: Constant
    busy: Constant

    def computing(self, processor_s: float) -> tuple[tuple[Constant, float], ...]:
        """Constants and seconds of that much work on one core: the idle board, and a core's share of what a wholly busy
        one takes more."""
        return (self.busy, processor_s / self.cores), (self.idle, processor_s * (1 - 1 / self.cores))


@dataclass(frozen=True)
class Traffic:
    """What bytes are on a radio.

    Attributes:
        sent_bytes: of all packets, without their headers.
        packets: how many leave, those that fetch the answer included.
        airtime_s: of all of them together.
    """

    sent_bytes: int
    packets: int
    airtime_s: float


@dataclass(frozen=True)
class Radio:
    """A radio.

    Attributes:
        name, about, source: how it is asked for, what it is, who says so.
        airtime: of one packet.
        max_payload_bytes: that a packet carries.
        header_bytes: that every packet has besides.
        covered_bytes: first bytes of an exchange whose sending the energy of the session includes.
        websocket: messages go as a websocket's; otherwise their bytes follow one another without framing.
        duty_cycle: share of time that may be spent on the air; None where nothing bounds it.
        answer_packets: packets that fetch the answer.
        missing: what is left out, and why.
        transmit, receive: W while sending, and while waiting for the answer.
        packet: J of each packet besides.
        session, session_s: J and s of each exchange, whatever is sent.
        wake, wake_s, tail, tail_s: W and s before the first packet, and after the last one.
    """

    name: str
    about: str
    source: str
    airtime: Airtime
    max_payload_bytes: int
    header_bytes: int
    covered_bytes: int
    websocket: bool
    duty_cycle: float | None
    answer_packets: int
    missing: tuple[str, ...]
    transmit: Constant
    receive: Constant | None
    packet: Constant | None
    session: Constant | None
    session_s: Constant | None
    wake: Constant | None
    wake_s: Constant | None
    tail: Constant | None
    tail_s: Constant | None

    def on_air(self, messages: Sequence[int]) -> Traffic:
        """The packets of an exchange.

        Args:
            messages: bytes of each message of the protocol, in order; none where nothing is sent.
        """
        framed = UPGRADE_BYTES + sum(map(framed_bytes, messages))
        return self.of_bytes(framed if messages and self.websocket else sum(messages))

    def of_bytes(self, sent_bytes: int) -> Traffic:
        """The packets that carry so many bytes, websocket framing included where there is any; none for no bytes."""
        if not sent_bytes:
            return Traffic(0, 0, 0.0)
        whole, rest = divmod(sent_bytes, self.max_payload_bytes)
        sizes = [self.max_payload_bytes] * whole + [rest] * (rest > 0)
        starts = itertools.accumulate([0, *sizes[:-1]])
        seconds = sum(self._uncovered_s(size, start) for size, start in zip(sizes, starts, strict=True))
        seconds += self.answer_packets * self.airtime.seconds(0)
        return Traffic(sent_bytes, len(sizes) + self.answer_packets, seconds)

    def _uncovered_s(self, size: int, start: int) -> float:
        """Airtime of a packet as far as the session's own energy does not cover it."""
        covered = min(size, max(0, self.covered_bytes - start))
        return 0.0 if covered == size else self.airtime.seconds(self.header_bytes + size - covered)


def framed_bytes(message_bytes: int) -> int:
    """Bytes of a websocket message from a device (RFC 6455, section 5.2, masked)."""
    return message_bytes + _MASK_BYTES + (2 if message_bytes < 126 else 4 if message_bytes < 1 << 16 else 10)


def radio_named(catalogue: Catalogue, name: str) -> Radio:
    """The radio of that name.

    Raises:
        UnknownNameError: there is none.
        FileUnreadableError: the file states it in a way that cannot be used.
    """
    entry = catalogue.entry("radio", name)
    _refuse_others(entry, Radio, *_AIRTIME_FIELDS)
    return Radio(
        name=name,
        about=entry.text("about"),
        source=entry.text("source"),
        airtime=_airtime(entry),
        max_payload_bytes=entry.whole("max_payload_bytes", least=1),
        header_bytes=entry.whole("header_bytes"),
        covered_bytes=entry.whole("covered_bytes", 0),
        websocket=entry.flag("websocket"),
        duty_cycle=entry.number("duty_cycle", most=1.0) or None if "duty_cycle" in entry.fields else None,
        answer_packets=entry.whole("answer_packets", 0, most=100),
        missing=entry.texts("missing"),
        transmit=entry.constant("transmit", "W"),
        receive=entry.optional_constant("receive", "W"),
        packet=entry.optional_constant("packet", "J"),
        session=entry.optional_constant("session", "J"),
        session_s=entry.optional_constant("session_s", "s"),
        **_span(entry, "wake"),
        **_span(entry, "tail"),
    )


def board_named(catalogue: Catalogue, name: str) -> Board:
    """The board of that name.

    Raises:
        UnknownNameError, FileUnreadableError: as :func:`radio_named`.
    """
    entry = catalogue.entry("board", name)
    _refuse_others(entry, Board)
    cores = entry.whole("cores", least=1, most=_MAX_CORES)
    return Board(name, entry.text("about"), cores, entry.constant("idle", "W"), entry.constant("busy", "W"))


def _span(entry: Entry, name: str) -> dict[str, Constant | None]:
    """A power and how long it lasts: both or neither."""
    power, time = entry.optional_constant(name, "W"), entry.optional_constant(f"{name}_s", "s")
    if (power is None) != (time is None):
        raise entry.wrong(name, f"there together with {name}_s")
    return {name: power, f"{name}_s": time}


def _airtime(entry: Entry) -> Airtime:
    kind = entry.text("airtime")
    if kind == "lora":
        return _lora(entry)
    if kind == "rate":
        packet_s = entry.optional_constant("packet_s", "s")
        return Rate(entry.constant("rate", "bit/s").centre, 0.0 if packet_s is None else packet_s.centre)
    if kind == "transfer":
        base_s, byte_s = entry.constant("base_s", "s").centre, entry.constant("byte_s", "s/B").centre
        return Transfer(base_s, entry.whole("base_bytes"), byte_s)
    raise entry.wrong("airtime", "lora, rate or transfer")


def _lora(entry: Entry) -> LoRa:
    try:
        made = LoRa(
            entry.whole("spreading_factor"),
            entry.number("bandwidth_hz"),
            entry.whole("coding_rate", 5),
            entry.whole("preamble_symbols", 8),
        )
        made.seconds(entry.whole("header_bytes") + entry.whole("max_payload_bytes"))
    except UsageError as error:
        (note,) = error.__notes__
        raise entry.wrong("airtime", f"LoRa that there is ({note.removesuffix('.')})") from error
    return made


def _refuse_others(entry: Entry, kind: type[Radio | Board], *more: str) -> None:
    known = {one.name for one in fields(kind)} - {"name"} | {*more}
    if strange := sorted(set(entry.fields) - known):
        raise entry.wrong(strange[0], f"left out: a {entry.kind} has no such field")
