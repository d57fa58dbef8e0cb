"""Files and JSON that somebody else made are read by ``heliograph.reading`` alone; what reads otherwise says why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import heliograph

PACKAGE = Path(heliograph.__file__).parent

READING_ATTRIBUTES = {
    "json": {"load", "loads"},
    "np": {"load", "loadtxt", "genfromtxt", "fromfile", "memmap"},
    "numpy": {"load", "loadtxt", "genfromtxt", "fromfile", "memmap"},
    "torch": {"load"},
    "pickle": {"load", "loads"},
    "tomllib": {"load", "loads"},
}
READING_METHODS = {"read_text", "read_bytes"}
READING_NAMES = {"open", "safe_open", "load_file"}

# Who reads in another way, and why that is no stranger's file. A prefix that ends with "/" is a whole room.
ALLOWED = {
    "reading/": "this is the one way",
    "training/": "reads back what it wrote itself: caches, checkpoints, graphs, cards",
    "bench/": "data of the project, and results that it wrote itself",
    "reference/": "data of the project and its package",
    "edge/photos/file.py": "photos: opened in a way of their own, by format and with bounds of their own",
    "codec/storage.py": "safe_open, behind read_header",
    "vlm/codec_folder.py": "model cards that fit has just written",
    "vlm/checkpoint/processors.py": "configurations of a checkpoint that check_checkpoint has seen",
    "vlm/checkpoint/template_child.py": "a child process that imports nothing of this package; its parent speaks to it",
    "strategies/split/nnc_worker.py": "a child process that imports nothing of this package; its parent speaks to it",
    "vlm/families/records.py": "a file of the package",
    "cli/readme_table.py": "the project's own documents and results",
    "cli/export.py": "parity.json, written a moment before",
    "serving/child.py": "the first line of its own child process",
}


def reads(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every call that reads a file or parses what a file may hold."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in READING_NAMES and not writes(node.args[1:2], node):
            yield node.lineno, called.id
        elif isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if called.attr in READING_ATTRIBUTES.get(owner, ()) or called.attr in READING_METHODS:
                yield node.lineno, f"{owner}.{called.attr}"
            elif called.attr == "open" and owner not in ("os", "Image", "images") and not writes(node.args[:1], node):
                yield node.lineno, f"{owner}.open"


def writes(mode: list[ast.expr], call: ast.Call) -> bool:
    named = [one.value for one in call.keywords if one.arg == "mode"]
    given = [*mode, *named][:1]
    return bool(given) and isinstance(given[0], ast.Constant) and str(given[0].value)[:1] in ("w", "a", "x")


def allowed(name: str) -> bool:
    return any(name.startswith(one) if one.endswith("/") else name == one for one in ALLOWED)


def found() -> dict[str, list[tuple[int, str]]]:
    every = {str(path.relative_to(PACKAGE)): list(reads(path)) for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: calls for name, calls in every.items() if calls}


def test_nothing_else_reads_files() -> None:
    strange = {name: calls for name, calls in found().items() if not allowed(name)}
    assert not strange, f"read these with heliograph.reading, or say in ALLOWED why not: {strange}"


def test_the_list_holds_nothing_that_is_gone() -> None:
    names = found()
    assert not [one for one in ALLOWED if not any(name.startswith(one) for name in names)]


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    source = tmp_path / "it.py"
    source.write_text(
        "import json\njson.loads('1')\nopen('a')\nopen('a', 'w')\npath.open('rb')\npath.open('wb')\npath.open()\n"
        "path.read_text()\nsafe_open(path)\nnp.load(path)\npath.write_text('x')\njson.dumps(1)\nopen('a', mode='a')\n"
    )
    assert [line for line, _ in reads(source)] == [2, 3, 5, 7, 8, 9, 10]
