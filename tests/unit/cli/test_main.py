"""Exit codes, the one line on standard error, help, and what is imported for it."""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from heliograph.cli import main as main_module
from heliograph.cli.command import Command, rare_collections
from heliograph.cli.main import COMMANDS, REGISTRY, build_parser, main
from heliograph.errors import HeliographError, MissingExtraError, PortBusyError, UnknownNameError
from processes import HELIOGRAPH, ended, first_line, run, run_python, started

HEAVY = (
    "numpy",
    "PIL",
    "torch",
    "transformers",
    "onnxruntime",
    "websockets",
    "rich",
    "starlette",
    "matplotlib",
    "asyncio",
)


def command(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> list[str]:
    """Put a command into the table that raises ``failure``."""

    def run(_: object) -> int:
        raise failure

    made = Command(lambda parser: None, run, "fails", ())
    monkeypatch.setitem(main_module.COMMANDS, "fail", "fails")
    monkeypatch.setattr(main_module.REGISTRY, "load", lambda name: made)
    return ["fail"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_shows_its_examples_and_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "--json" in shown.out
    examples = REGISTRY.load(name).examples
    assert examples
    assert all(example in shown.out for example in examples)


@pytest.mark.parametrize("line", [line for name in COMMANDS for line in REGISTRY.load(name).examples])
def test_examples_are_command_lines_of_their_command(line: str) -> None:
    program, name, *rest = shlex.split(line)
    assert program == "heliograph"
    parser, found = build_parser(name)
    assert found is REGISTRY.load(name)
    parsed = parser.parse_args([name, *rest])
    assert parsed.json is ("--json" in rest)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown and summary.split(",")[0] in shown for name, summary in COMMANDS.items())
    assert main([]) == 0
    assert capsys.readouterr().out == shown


def test_collections_are_rare_within_alone() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold() == (100_000, *before[1:])
    assert gc.get_threshold() == before


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom heliograph.cli.main import main\nassert main(['--help']) == 0\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(heavy, file=sys.stderr)\nsys.exit(bool(heavy))"
    )
    done = run_python("-c", script, check=False)
    assert done.returncode == 0, done.stderr


def test_help_of_no_command_imports_a_model() -> None:
    script = (
        "import sys\nfrom heliograph.cli.main import main\n"
        f"for name in {tuple(COMMANDS)!r}:\n"
        "    assert main([name, '--help']) == 0, name\n"
        "    assert not {'torch', 'onnxruntime', 'numpy', 'PIL'} & set(sys.modules), name"
    )
    done = run_python("-c", script, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["nonsense"],
        ["ask"],
        ["ask", "photo.jpg"],
        ["ask", "photo.jpg", "what?", "--budget", "0"],
        ["ask", "photo.jpg", "what?", "--target", "1.5"],
        ["ask", "photo.jpg", "what?", "--timeout", "nan"],
        ["serve", "--port", "65536"],
        ["serve", "--port", "x"],
        ["train", "everything", "--out", "x"],
        ["encode", "photo.jpg"],
        ["bench", "--limit", "-1"],
        ["--colour"],
    ],
)
def test_wrong_command_line_is_one_line_and_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("heliograph: usage: ")
    assert shown.err.count("\n") == 1


def test_wrong_command_line_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["\x1b]0;title\x07"]) == 2
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize(
    "failure", [PortBusyError(), MissingExtraError("cloud"), UnknownNameError("strategy", ("klt", "jpeg"))]
)
def test_named_error_is_one_line_and_the_exit_code_of_its_class(
    failure: HeliographError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(monkeypatch, failure)) == failure.exit_code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"heliograph: {failure.name}: {failure}")
    assert shown.err.count("\n") == 1


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(monkeypatch, KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "heliograph: interrupted: Stopped by Ctrl-C.\n"


def test_bug_is_one_line_and_70(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("HELIOGRAPH_DEBUG", raising=False)
    assert main(command(monkeypatch, RuntimeError("\x1b secret"))) == 70
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "RuntimeError" in shown
    assert "secret" not in shown
    monkeypatch.setenv("HELIOGRAPH_DEBUG", "1")
    assert main(command(monkeypatch, RuntimeError("where"))) == 70
    assert "Traceback" in capsys.readouterr().err


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    missing = ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime.capi")
    assert main(command(monkeypatch, missing)) == MissingExtraError.exit_code == 1
    assert "heliograph: missing-extra: " in (shown := capsys.readouterr().err)
    assert "heliograph[edge]" in shown
    assert main(command(monkeypatch, ModuleNotFoundError("x", name="unheard_of"))) == 70


def test_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run((*HELIOGRAPH, "--help"), stdout=writer)
    os.close(writer)
    assert done.stderr == ""


def test_ctrl_c_in_a_process() -> None:
    script = (
        "import signal, sys, time\nfrom heliograph.cli import main as m\nfrom heliograph.cli.command import Command\n"
        # As at a terminal: what a shell runs in the background inherits that Ctrl-C is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def run(_):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "m.COMMANDS['wait'] = 'waits'\nm.REGISTRY.load = lambda name: Command(lambda p: None, run, 'waits', ())\n"
        "sys.exit(m.main(['wait']))"
    )
    with started((sys.executable, "-c", script)) as process:
        assert first_line(process) == "ready"
        _, said = ended(process, signal.SIGINT)
    assert process.returncode == 130
    assert said == "heliograph: interrupted: Stopped by Ctrl-C.\n"
