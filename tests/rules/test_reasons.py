"""An error with one text for many causes is raised with what is wrong: a note or a reason."""

from __future__ import annotations

import ast
from pathlib import Path

import heliograph

SOURCE = Path(heliograph.__file__).parent
NAMED = {
    "UsageError",
    "ModelUnavailableError",
    "ModelUnsupportedError",
    "EncoderNotExportableError",
    "DataMissingError",
    "StreamTruncatedError",
    "ShapeError",
}


def bare_raises(text: str) -> list[str]:
    """Errors of ``NAMED`` that ``text`` raises or returns without saying which cause they have."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise | ast.Return | ast.Lambda):
            made = {ast.Raise: "exc", ast.Return: "value", ast.Lambda: "body"}[type(node)]
            made = getattr(node, made)
            if isinstance(made, ast.Call) and not made.args and not made.keywords:
                made = made.func
            if isinstance(made, ast.Name) and made.id in NAMED:
                found.append(f"{node.lineno}: {made.id}")
    return found


def test_no_error_leaves_open_what_is_wrong() -> None:
    found = {path.relative_to(SOURCE): bare_raises(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
    assert len(found) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_rule_sees_bare_errors() -> None:
    bare = "raise UsageError", "raise UsageError()", "raise UsageError from error", "def f(): return UsageError()"
    assert all(len(bare_raises(text)) == 1 for text in bare)
    named = 'raise UsageError().noted("x")', 'raise UsageError.of_argument("a", "1", 2)', "raise ServerBusyError"
    assert not any(map(bare_raises, named))
