"""Options of ``serve``, one for every bound in :mod:`heliograph.serving.limits`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

from heliograph.cli.command import byte_size, positive_int, room_size, seconds, seconds_or_none, share, whole_number
from heliograph.serving.limits import Bound, Group, Limits, Unit, bounds


class _Form(NamedTuple):
    """How numbers of one unit are written."""

    read: Callable[[str], Any]
    metavar: str


_FORMS = {
    Unit.COUNT: _Form(positive_int, "N"),
    Unit.COUNT_OR_NONE: _Form(whole_number, "N"),
    Unit.SECONDS: _Form(seconds, "SECONDS"),
    Unit.SECONDS_OR_NONE: _Form(seconds_or_none, "SECONDS"),
    Unit.BYTES: _Form(byte_size, "BYTES"),
    Unit.ROOM: _Form(room_size, "BYTES"),
    Unit.SHARE: _Form(share, "SHARE"),
}
_BYTE_UNITS = (Unit.BYTES, Unit.ROOM)


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """An option for every bound, in groups."""
    for about in Group:
        group = parser.add_argument_group(about.value)
        for bound in bounds():
            if bound.group is about:
                form = _FORMS[bound.unit]
                group.add_argument(
                    flag(bound),
                    dest=bound.name,
                    metavar=form.metavar,
                    type=form.read,
                    help=f"{bound.meaning} (default: {default_text(bound)})",
                )


def flag(bound: Bound) -> str:
    """A bound's name on the command line; the unit is told by the value's name."""
    return "--" + bound.name.removesuffix("_s").replace("_", "-")


def default_text(bound: Bound) -> str:
    """A bound's default as one would write it: ``64``, ``30``, ``32M``."""
    if bound.default is None:
        return "no bound"
    if bound.unit in _BYTE_UNITS:
        for unit, shift in (("G", 30), ("M", 20), ("K", 10)):
            if bound.default and not int(bound.default) % (1 << shift):
                return f"{int(bound.default) >> shift}{unit}"
    return f"{bound.default:g}"


def chosen_limits(arguments: argparse.Namespace) -> Limits:
    """The bounds that were given, the server's own for the rest."""
    given = {bound.name: getattr(arguments, bound.name) for bound in bounds()}
    return Limits(**{name: value for name, value in given.items() if value is not None})
