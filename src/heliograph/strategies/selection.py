"""Strategies by what they declare, so that nobody lists their names."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from importlib.util import find_spec

from heliograph.errors import PlugInError, UnknownNameError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Family, Kind, Strategy

_EXTRA_MODULES = {"ocr": "rapidocr"}
"""By extra, the module that tells whether it is installed."""

LOCAL = "local"
"""The device's own answer, by Heliograph's own strategy."""


def strategy_class(name: str) -> type[Strategy]:
    """The class of a strategy; imports its module.

    Raises:
        UnknownNameError: no such strategy.
        PlugInError: a plug-in that cannot be used.
    """
    loaded: type[Strategy] = STRATEGIES.load(name)
    return loaded


def strategies_with(
    *,
    kind: Kind | None = None,
    embedded: bool | None = None,
    tuned: bool | None = None,
    family: Family | None = None,
    speaks: bool | None = None,
) -> tuple[str, ...]:
    """Names of the strategies that declare all of what is given, in the order of the registry.

    Plug-ins belong to them; those that cannot be used do not.
    """
    wanted = {"kind": kind, "embedded": embedded, "tuned": tuned, "family": family, "speaks": speaks}
    stated = {attribute: value for attribute, value in wanted.items() if value is not None}
    return tuple(
        one.name
        for one in _usable()
        if all(getattr(one, attribute, False) == value for attribute, value in stated.items())
    )


def strategies_for(codec_kinds: Collection[str]) -> tuple[str, ...]:
    """Names of the strategies that a bundle with codecs of these kinds can run, in the order of the registry; without
    those whose extra is not installed, or whose program nobody has named."""
    return tuple(one.name for one in _usable() if (not one.codec or one.codec in codec_kinds) and not missing(one))


def missing(strategy: type[Strategy]) -> str:
    """The pip extra that a strategy's device half needs and that is not installed, or the variable that names no
    program; empty for nothing."""
    extra, program = getattr(strategy, "extra", ""), getattr(strategy, "program", "")  # plug-ins of before have neither
    if extra in _EXTRA_MODULES and find_spec(_EXTRA_MODULES[extra]) is None:
        return str(extra)
    return str(program) if program and not os.environ.get(program) else ""


def needs_bundle(name: str) -> bool:
    """Whether both ends must hold the same bundle for a strategy to restore anything.

    Raises:
        UnknownNameError: no such strategy.
        PlugInError: a plug-in that cannot be used.
    """
    return strategy_class(name).needs_bundle


def hears(name: str) -> bool:
    """Whether what a strategy's streams restore to depends on the question.

    Raises:
        UnknownNameError: no such strategy.
        PlugInError: a plug-in that cannot be used.
    """
    return bool(getattr(strategy_class(name), "hears", False))  # plug-ins of before do not say


def kind_of(name: str) -> Kind | None:
    """What the cloud's model answers from; None for a name that is none of this installation's."""
    try:
        return strategy_class(name).kind
    except (UnknownNameError, PlugInError):
        return None


def _usable() -> Iterator[type[Strategy]]:
    for name in STRATEGIES.names():
        try:
            yield strategy_class(name)
        except PlugInError:
            continue  # the doctor says why
