"""Nobody lists strategies, controllers, codecs or region policies by name: what they are they declare themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph
from heliograph.registry import CODECS, CONTROLLERS, REGION_POLICIES, STRATEGIES

PACKAGE = Path(heliograph.__file__).parent
NAMES = {*STRATEGIES.names(), *CONTROLLERS.names(), *CODECS.names(), *REGION_POLICIES.names()}

ALLOWED = {
    "registry.py": "where every name has its target",
    "protocol/wire_ids.py": "where every name has its number",
    "question.py": "what a question is where it names none",
    "codec/fallback.py": "the pair that the flag of a meta stream means",
    "bench/style.py": "colours, with one for whatever is not among them",
    "bench/region/plots.py": "what the picture shows, and its colours",
    "bench/reference/figures.py": "the marks that were set for our own two codecs",
    "bench/bytes/figures.py": "the marks that were set for our own two codecs",
    "bench/bytes/plot.py": "what the picture shows",
    "bench/street/plot.py": "what the picture shows",
    "bench/photos/figures.py": "the marks that were set for the learned codec",
    "training/strategies.py": "which training makes whose part",
    "cli/fit.py": "each codec is fitted in a way of its own",
    "bench/loop/policies.py": "policies of a suite, most of them confidences",
    "bench/loop/times.py": "runs of a suite by its own names",
}


def listed(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """Literals that hold two names or more, and comparisons with one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            found = [one.value for one in node.elts if isinstance(one, ast.Constant) and one.value in NAMES]
        elif isinstance(node, ast.Dict):
            found = [one.value for one in node.keys if isinstance(one, ast.Constant) and one.value in NAMES]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            found = [one.value for one in sides if isinstance(one, ast.Constant) and one.value in NAMES] * 2
        else:
            continue
        if len(found) >= 2:
            yield node.lineno, [str(name) for name in found]


def files() -> list[str]:
    return sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    "text", ['x = ("jpeg", "webp")', 'x = {"klt": 1, "meta": 2}', 'x = y == "local"', 'y in {"klt", "pq"}']
)
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(listed(ast.parse(text)))


def test_no_file_lists_names_that_declare_themselves() -> None:
    found = {
        f"{name}:{line}": names
        for name in files()
        if name not in ALLOWED
        for line, names in listed(ast.parse((PACKAGE / name).read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_needed(name: str) -> None:
    assert list(listed(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))))
