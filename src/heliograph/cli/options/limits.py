"""Options of ``serve`` for every bound of :class:`heliograph.serving.shared.Limits`, one line each.

Defaults are written out, since help must not import a server; the tests hold this table against the dataclass.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliograph.cli.command import byte_size, positive_int, room_size, seconds, seconds_or_none, share, whole_number

if TYPE_CHECKING:
    from heliograph.serving.shared import Limits

_METAVARS: dict[Callable[[str], Any], str] = {
    positive_int: "N",
    whole_number: "N",
    seconds: "SECONDS",
    seconds_or_none: "SECONDS",
    byte_size: "BYTES",
    room_size: "BYTES",
    share: "SHARE",
}


@dataclass(frozen=True)
class LimitOption:
    """One bound on the command line.

    Attributes:
        field: of ``Limits``.
        type: reads its value.
        default: as help shows it; None where there is no bound.
        help: what it bounds.
    """

    field: str
    type: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def flag(self) -> str:
        """Its name on the command line; the unit is told by the value's name."""
        return "--" + self.field.removesuffix("_s").replace("_", "-")


GROUPS: dict[str, tuple[LimitOption, ...]] = {
    "who may come": (
        LimitOption("max_sessions", positive_int, "64", "sessions at a time"),
        LimitOption(
            "max_sessions_per_address",
            positive_int,
            "48",
            "sessions of one address beyond this machine, where no token is needed",
        ),
        LimitOption(
            "max_ungreeted", positive_int, "256", "other connections at a time; the longest waiting makes room"
        ),
        LimitOption("max_ungreeted_bytes", room_size, "32M", "sent by all of those together"),
        LimitOption("max_per_address", positive_int, "64", "of those, from one address"),
        LimitOption("request_timeout_s", seconds, "30", "for TLS, a request and reading its answer"),
        LimitOption("hello_timeout_s", seconds, "15", "for a device to say who it is"),
        LimitOption("refusal_delay_s", seconds_or_none, "10", "longest wait of the answer to a wrong token"),
    ),
    "sessions": (
        LimitOption("idle_timeout_s", seconds, "300", "silence of a device that waits for nothing"),
        LimitOption("send_timeout_s", seconds, "120", "for one message to a device"),
        LimitOption("max_held_bytes", room_size, "512M", "memory of all sessions together"),
        LimitOption("max_unsent_bytes", byte_size, "256K", "may wait for a device that reads slowly"),
        LimitOption(
            "retain_s",
            seconds,
            None,
            "longest time that a photo, a question or an answer is held after it was last used",
        ),
        LimitOption("keep_s", seconds_or_none, "120", "keep a session whose connection broke; 0 keeps none"),
        LimitOption("max_kept_sessions", whole_number, "64", "of those at a time; who keeps most gives one up"),
        LimitOption("max_kept_bytes", byte_size, "64M", "their memory"),
    ),
    "answers": (
        LimitOption(
            "draft_patience",
            share,
            "0.25",
            "hold drafts back for this share of an answer's usual time, as the rest of the photo may come sooner; "
            "0 drafts at once",
        ),
        LimitOption(
            "question_timeout_s",
            seconds,
            "120",
            "longest wait of a question for news of its photo; then it is answered from what has arrived",
        ),
        LimitOption("max_regions", whole_number, "32", "crops of the original that one session may cause"),
        LimitOption("region_timeout_s", seconds, "20", "for a crop to come; then the first answer is final"),
    ),
}


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """An option for every bound, in groups."""
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for option in options:
            group.add_argument(
                option.flag,
                dest=option.field,
                metavar=_METAVARS[option.type],
                type=option.type,
                help=f"{option.help} (default: {option.default or 'no bound'})",
            )


def chosen_limits(arguments: argparse.Namespace) -> Limits:
    """The bounds that were said, the server's own for the rest."""
    from heliograph.serving.shared import Limits

    given = {option.field: getattr(arguments, option.field) for options in GROUPS.values() for option in options}
    return Limits(**{field: value for field, value in given.items() if value is not None})
