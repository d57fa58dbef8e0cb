"""An error that covers several causes is made with the one that it was, and says nothing but what the program holds."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph
from heliograph.errors import (
    BundleDamagedError,
    FaultyError,
    HeliographError,
    MissingExtraError,
    StreamDamagedError,
    UnknownNameError,
    all_errors,
)
from heliograph.reasons import BundleFault, BundlePart, Fault, FileFault, next_step

PACKAGE = Path(heliograph.__file__).parent
FAULTS = [fault for kind in Fault.__subclasses__() for fault in kind]


def needs_a_reason(error: type[HeliographError]) -> bool:
    wanted = list(inspect.signature(error).parameters.values())
    return any(one.default is inspect.Parameter.empty for one in wanted)


NEEDING = {error.__name__ for error in all_errors().values() if needs_a_reason(error)}


def bare_raises(source: str) -> Iterator[tuple[int, str]]:
    """Where an error that needs a reason is raised by its class, or made without arguments."""
    for node in ast.walk(ast.parse(source)):
        raised = node.exc if isinstance(node, ast.Raise) else None
        if isinstance(raised, ast.Name) and raised.id in NEEDING:
            yield node.lineno, raised.id
        made = node.func if isinstance(node, ast.Call) and not node.args and not node.keywords else None
        if isinstance(made, ast.Name) and made.id in NEEDING:
            yield node.lineno, made.id


def test_the_rule_sees_what_it_shall_see() -> None:
    assert {"BundleDamagedError", "StreamDamagedError", "LinkTraceError", "FileUnreadableError"} <= NEEDING
    source = "raise BundleDamagedError\nraise KeyFileError() from e\nraise StreamDamagedError(x)\nraise ShapeError\n"
    assert sorted(bare_raises(source)) == [(1, "BundleDamagedError"), (2, "KeyFileError")]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_error_is_raised_without_its_reason(path: Path) -> None:
    assert list(bare_raises(path.read_text(encoding="utf-8"))) == []


def test_reasons_are_phrases() -> None:
    for fault in FAULTS:
        assert 10 <= len(str(fault)) <= 140
        assert not str(fault).endswith(".")
        assert str(fault)[0].islower()
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", [*FileFault, *BundleFault])
def test_a_damaged_bundle_says_what_and_what_next(fault: FileFault | BundleFault) -> None:
    for part in BundlePart:
        error = BundleDamagedError(part, fault)
        assert (error.part, error.fault) == (part, fault)
        assert error.reason == f"{part.value} {fault.value}; {next_step(fault)}"
        assert str(error) == f"The bundle is incomplete or damaged: {error.reason}."


def test_what_came_as_a_number_has_the_text_alone() -> None:
    """ERROR frames carry the number: every class can be made from it, whatever its own arguments are."""
    for error in all_errors().values():
        received = error.received()
        assert (str(received), received.reason, received.args) == (error.text, "", (error.text,))
        assert str(received.noted("a note")) == error.text
    assert BundleDamagedError.received().part is None
    assert StreamDamagedError.received().fault is None
    assert UnknownNameError.received().choices == ()
    assert MissingExtraError.received().extra == ""


def test_bases_have_no_number_of_their_own() -> None:
    assert all_errors()[1] is HeliographError
    assert FaultyError not in all_errors().values()
