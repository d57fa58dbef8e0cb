"""Names and docstrings read as an engineer of the field would write them (docs/glossary.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph

PACKAGE = Path(heliograph.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
BANNED = frozenset({"come_home", "foretold", "is_said", "said", "said_of", "surer", "told", "way_name", "wish"})
BANNED_PARTS = re.compile(r"(?:^|_)(?:most|least)_[a-z0-9_]*[a-z]")  # of constants: MAX and MIN
MID_SENTENCE = re.compile(r"(?:Also|As|Below|By|Of|So many|Those|Yes|No)\b[ ,.]")


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a file gives to something or takes from somewhere, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Name):
            yield line, node.id
        elif isinstance(node, ast.Attribute):
            yield line, node.attr
        elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
            yield line, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield line, node.name


def is_banned(name: str) -> bool:
    return name.strip("_").lower() in BANNED or (name.isupper() and bool(BANNED_PARTS.search(name.lower())))


def docstrings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text.splitlines()[0]


@pytest.mark.parametrize("name", ["said", "_said", "told", "Wish", "come_home", "_MOST_LETTERS", "LEAST_SIDE"])
def test_a_banned_name_is_seen(name: str) -> None:
    assert is_banned(name)


@pytest.mark.parametrize("name", ["reason", "at_most", "saidan", "_MAX_CHARACTERS", "MOST"])
def test_other_names_are_allowed(name: str) -> None:
    assert not is_banned(name)


def test_no_file_uses_a_banned_name() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path in FILES
        for line, name in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if is_banned(name)
    ]
    assert not found


def test_docstrings_do_not_begin_in_mid_sentence() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {name}: {line}"
        for path in FILES
        for name, line in docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if MID_SENTENCE.match(line)
    ]
    assert not found
