"""What a person wants of this machine, and whether it can do that: made from the single checks."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.cli.doctor.checks import ABSENT, BROKEN, MODULES, OK, Check

YES, NO, UNTRIED = True, False, None

ENCODE, ALONE, SERVE, TRAIN, BENCH, HEIC = (
    "encode a photo",
    "answer without a server",
    "serve a model",
    "fit, export, train",
    "measure (bench)",
    "read HEIC photos",
)
_PARTS: dict[str, tuple[str, ...]] = {
    ENCODE: ("base", "edge"),
    ALONE: ("base", "edge"),
    SERVE: ("base", "edge", "cloud"),
    TRAIN: ("base", "edge", "cloud", "train"),
    BENCH: ("base", "edge", "cloud", "bench"),
    HEIC: ("base", "edge", "heif"),
}
"""Which parts of the installation each one needs, the widest last: its extra brings the others."""


_ROOMS = {TRAIN: "heliograph.training", BENCH: "heliograph.bench"}
"""What the wheel for devices lacks (decision 0035)."""


@dataclass(frozen=True)
class Ability:
    """One answer.

    Attributes:
        name: what the machine is to do.
        works: True, False, or None where nobody tried.
        found: what it rests on, or what is missing and how to get it.
    """

    name: str
    works: bool | None
    found: str


def abilities_from(checks: Sequence[Check]) -> list[Ability]:
    """The answers, in the order in which they are shown.

    Args:
        checks: of :func:`heliograph.cli.doctor.checks.checks_of_use`.
    """
    found = {check.name: check for check in checks}
    answers = [
        _ability(ENCODE, found, ("bundle", "jpeg", "encoding a photo")),
        _ability(ALONE, found, ("bundle", "local model")),
        _ability(SERVE, found, ()),
        _ability(TRAIN, found, ()),
        _ability(BENCH, found, ()),
        _ability(HEIC, found, ()),
    ]
    others = [check for check in checks if check.name not in _known(found)]
    return answers + [
        Ability(f"use {check.name}", check.status == OK, check.detail)
        for check in others
        if check.status == BROKEN or check.plug_in
    ]


def _ability(name: str, found: dict[str, Check], deciding: Sequence[str]) -> Ability:
    """One answer, from what must be installed and from the checks that decide it beyond that."""
    parts, room = _PARTS[name], _ROOMS.get(name)
    modules = [found[module] for part in parts for module in MODULES[part]]
    if broken := [check for check in modules if check.status == BROKEN]:
        return Ability(name, NO, f"{broken[0].name}: {broken[0].detail}")
    if absent := [check.name for check in modules if check.status == ABSENT]:
        extra = parts[-1]
        how = "pip install heliograph" if extra == "base" else f"pip install 'heliograph[{extra}]'"
        return Ability(name, NO, f"{', '.join(absent)} missing: {how}")
    if room is not None and importlib.util.find_spec(room) is None:
        return Ability(name, NO, "it is in a wheel of its own: pip install heliograph-cloud")
    for decides in deciding:
        if found[decides].status != OK:
            return Ability(name, NO, found[decides].detail)
    return Ability(name, YES, found[deciding[-1]].detail if deciding else "")


def _known(found: dict[str, Check]) -> set[str]:
    """Checks that an answer above rests on."""
    modules = {module for part in MODULES.values() for module in part}
    return modules | {"python", "bundle", "jpeg", "encoding a photo", "local model"}
