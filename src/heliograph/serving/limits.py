"""Bounds of one server: what each bounds, in which unit, and its default. The options of ``heliograph serve`` and
their help are made from this table. Light enough to be imported for help."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from heliograph.controllers.region import MAX_LOOKS
from heliograph.serving.fair.load import Thresholds
from heliograph.serving.patience import DRAFT_PATIENCE


class Unit(Enum):
    """What the number of a bound counts, and which numbers make sense."""

    COUNT = "a number from 1"
    COUNT_OR_NONE = "a number from 0"
    SECONDS = "seconds above 0"
    SECONDS_OR_NONE = "seconds from 0"
    BYTES = "bytes from 0"
    ROOM = "bytes for which there must be some room"
    SHARE = "a share from 0 to 1"


class Group(Enum):
    """What a bound is about."""

    VISITORS = "who may come"
    SESSIONS = "sessions"
    ANSWERS = "answers"


@dataclass(frozen=True)
class Bound:
    """What there is to say about one bound.

    Attributes:
        name: field of :class:`Limits`.
        default: None for no bound.
    """

    name: str
    default: float | int | None
    unit: Unit
    group: Group
    meaning: str


def _bound(group: Group, unit: Unit, default: float | int | None, meaning: str) -> Any:
    return field(default=default, metadata={"group": group, "unit": unit, "meaning": meaning})


@dataclass(frozen=True)
class Limits:
    """Bounds of one server; :func:`bounds` gives the meaning of each field.

    Sessions are connections that were greeted; "other connections" were not, HTTP requests and wrong access tokens
    among them. Memory of all sessions includes those that are kept. A kept session is one whose connection broke.
    """

    max_sessions: int = _bound(Group.VISITORS, Unit.COUNT, 64, "sessions at a time")
    max_sessions_per_address: int = _bound(
        Group.VISITORS, Unit.COUNT, 48, "sessions of one address beyond this machine, where no token is needed"
    )
    max_ungreeted: int = _bound(
        Group.VISITORS, Unit.COUNT, 256, "other connections at a time; the longest waiting makes room"
    )
    max_ungreeted_bytes: int = _bound(Group.VISITORS, Unit.ROOM, 32 << 20, "sent by all of those together")
    max_per_address: int = _bound(Group.VISITORS, Unit.COUNT, 64, "of those, from one address")
    request_timeout_s: float = _bound(Group.VISITORS, Unit.SECONDS, 30.0, "for TLS, a request and reading its answer")
    hello_timeout_s: float = _bound(Group.VISITORS, Unit.SECONDS, 15.0, "for a device to say who it is")
    refusal_delay_s: float = _bound(
        Group.VISITORS, Unit.SECONDS_OR_NONE, 10.0, "longest wait of the answer to a wrong token"
    )

    idle_timeout_s: float = _bound(Group.SESSIONS, Unit.SECONDS, 300.0, "silence of a device that waits for nothing")
    send_timeout_s: float = _bound(Group.SESSIONS, Unit.SECONDS, 120.0, "for one message to a device")
    max_held_bytes: int = _bound(Group.SESSIONS, Unit.ROOM, 512 << 20, "memory of all sessions together")
    max_unsent_bytes: int = _bound(
        Group.SESSIONS, Unit.BYTES, 256 << 10, "may wait for a device that reads slowly; above it nothing more is done"
    )
    retain_s: float | None = _bound(
        Group.SESSIONS,
        Unit.SECONDS,
        None,
        "longest time that a photo, a question or an answer is held after it was last used",
    )
    keep_s: float = _bound(
        Group.SESSIONS, Unit.SECONDS_OR_NONE, 120.0, "keep a session whose connection broke; 0 keeps none"
    )
    max_kept_sessions: int = _bound(
        Group.SESSIONS, Unit.COUNT_OR_NONE, 64, "of those at a time; who keeps most gives one up"
    )
    max_kept_bytes: int = _bound(Group.SESSIONS, Unit.BYTES, 64 << 20, "their memory")

    max_batch_tokens: int = _bound(
        Group.ANSWERS,
        Unit.COUNT,
        1,
        "positions of the model's cache that questions answered side by side take together; 1 for one at a time",
    )
    draft_patience: float = _bound(
        Group.ANSWERS,
        Unit.SHARE,
        DRAFT_PATIENCE,
        "hold drafts back for this share of an answer's usual time, as the rest of the photo may come sooner; "
        "0 drafts at once",
    )
    shed_drafts_s: float = _bound(
        Group.ANSWERS, Unit.SECONDS, 2.0, "wait of a party's final answers from which on it gets no drafts"
    )
    shed_looks_s: float = _bound(
        Group.ANSWERS, Unit.SECONDS, 5.0, "the same, from which on it is asked for no region of a photo"
    )
    refuse_s: float = _bound(
        Group.ANSWERS,
        Unit.SECONDS,
        30.0,
        "the same, from which on new sessions and questions of it are told to try later",
    )
    question_timeout_s: float = _bound(
        Group.ANSWERS,
        Unit.SECONDS,
        120.0,
        "longest wait of a question for news of its photo; then it is answered from what has arrived",
    )
    max_regions: int = _bound(
        Group.ANSWERS, Unit.COUNT_OR_NONE, MAX_LOOKS, "crops of the original that one session may cause"
    )
    region_timeout_s: float = _bound(
        Group.ANSWERS, Unit.SECONDS, 20.0, "for a crop to come; then the first answer is final"
    )

    @property
    def thresholds(self) -> Thresholds:
        """How long final answers wait where something is shed."""
        return Thresholds(self.shed_drafts_s, self.shed_looks_s, self.refuse_s)

    @property
    def longest_kept_s(self) -> float:
        """How long a session is kept; no longer than anything may be held."""
        return self.keep_s if self.retain_s is None else min(self.keep_s, self.retain_s)


def bounds() -> tuple[Bound, ...]:
    """Every bound, in order."""
    usual = Limits()
    return tuple(Bound(one.name, getattr(usual, one.name), **one.metadata) for one in fields(Limits))
