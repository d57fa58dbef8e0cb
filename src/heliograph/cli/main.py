"""``heliograph``: finds the command, runs it, and turns whatever happens into an exit code and at most one line.

Exit codes: 0 done; 1 ``doctor`` found something broken; 2 a named error or a wrong command line; 70 a bug; 130 Ctrl-C.
Only the module of the chosen command is imported, and it imports its rooms when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.cli.command import (
    EXIT_DONE,
    EXIT_ERROR,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    ArgumentError,
    Command,
    Parser,
)
from heliograph.cli.config_file import ConfigFile, add_config_option
from heliograph.cli.files import empty_folders_removed
from heliograph.cli.options.logs import add_log_options, set_up_logging
from heliograph.cli.text import printable
from heliograph.config import DEBUG_VARIABLE
from heliograph.errors import HeliographError, MissingExtraError, UsageError
from heliograph.registry import Registry

COMMANDS = {
    "ask": "ask a cloud about a photo, over as few bytes as its answer needs",
    "serve": "answer questions of devices: the cloud",
    "pair": "make this device use a server of serve --public",
    "demo": "a cloud, a thin link and every strategy on one photo",
    "samples": "write a few photos to try it with, and questions that fit them",
    "encode": "write a photo as a .hgs stream file",
    "answer": "answer a question about a .hgs file, whole or cut",
    "inspect": "show a .hgs file: header, segments, quality of each prefix",
    "trace": "draw an exchange from the files that --trace wrote, or answer from them again",
    "bench": "compare strategies on a suite of tasks",
    "calibrate": "fit and report the confidence of answers from prefixes",
    "fit": "fit a codec to any model, from photos without labels",
    "train": "train the reference model, or fit the codec",
    "sizes": "compare the bytes of a model's visual tokens with picture files",
    "export": "write the bundle that a device needs",
    "doctor": "check what works here and what is missing",
    "completion": "complete commands and options in your shell",
}
_ROOMS = {"demo": "demo.command", "trace": "trace.command"}
"""Modules of the commands that have a room of their own."""

REGISTRY = Registry("command", {name: f"heliograph.cli.{_ROOMS.get(name, name)}:COMMAND" for name in COMMANDS})

if TYPE_CHECKING:  # argparse has no public name for it
    _Subparsers = argparse._SubParsersAction[Parser]

_EXTRA_OF_MODULE = {
    **dict.fromkeys(("PIL", "onnxruntime", "websockets", "tokenizers", "rich", "huggingface_hub", "pyvips"), "edge"),
    "shtab": "edge",
    **dict.fromkeys(("torch", "transformers", "starlette", "uvicorn", "jinja2", "num2words", "cryptography"), "cloud"),
    **dict.fromkeys(("matplotlib", "ai_edge_litert"), "bench"),
    **dict.fromkeys(("onnx", "sklearn"), "train"),
}

_IN_THE_OTHER_WHEEL = ("heliograph.bench", "heliograph.codec.fitting", "heliograph.training")
"""Rooms that the wheel for devices lacks (decision 0035)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code; never raises and never shows a traceback.

    Args:
        argv: without the program's name; ``sys.argv[1:]`` if None.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # not every stream can be reconfigured
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(argv)
    except HeliographError as error:
        return _fail(error.name, _explained(error, argv), EXIT_ERROR, error)
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
        if (error.name or "").startswith(_IN_THE_OTHER_WHEEL):
            missing = MissingExtraError().noted("It is in a wheel of its own: pip install heliograph-cloud.")
            return _fail(missing.name, _explained(missing, argv), EXIT_ERROR, error)
        if extra is None:
            return _fail_internal(error)
        missing = MissingExtraError(extra)
        return _fail(missing.name, str(missing), EXIT_ERROR, error)
    except KeyboardInterrupt:
        return _fail("interrupted", "Stopped by Ctrl-C.", EXIT_INTERRUPTED)
    except BrokenPipeError:
        _drop_stdout()  # the reader (head, less) has seen enough
        return EXIT_DONE
    except SystemExit as leaving:  # argparse after --help and --version
        return leaving.code if isinstance(leaving.code, int) else EXIT_DONE
    except Exception as error:  # a bug: still one line, and a way to see more
        return _fail_internal(error)


def _run(argv: list[str]) -> int:
    chosen = _chosen(argv)
    config = ConfigFile.find(argv, COMMANDS)
    parser, command = build_parser(chosen, config)
    if not argv:
        parser.print_help()
        return EXIT_DONE
    arguments = parser.parse_args(argv)
    assert command is not None  # argparse has refused everything else
    set_up_logging(arguments)
    _look_up(arguments)
    try:
        with empty_folders_removed():
            code = command.run(arguments)
    except UsageError as error:
        config.explain(error, chosen)
        raise
    sys.stdout.flush()
    return code


def _chosen(argv: Sequence[str]) -> str:
    """The word where the command's name belongs."""
    return next((word for word in argv if not word.startswith("-")), "")


def _explained(error: HeliographError, argv: Sequence[str]) -> str:
    """What is wrong, then the notes; of arguments that cannot be used the notes alone, where they say which."""
    notes = [*map(printable, getattr(error, "__notes__", ()))]
    if not isinstance(error, UsageError) or isinstance(error, ArgumentError):
        return " ".join([str(error), *notes])
    help_line = f"heliograph {_chosen(argv)} --help"
    if not notes:
        return str(error).replace("--help", help_line)
    return f"{' '.join(notes).removesuffix('.')}; see {help_line}."


def _look_up(arguments: argparse.Namespace) -> None:
    """Refuse a model that is nowhere before anything heavy is imported for it.

    Raises:
        ModelUnavailableError: see :meth:`heliograph.vlm.checkpoint.names.ModelName.locate`.
    """
    from heliograph.config import default_model
    from heliograph.registry import MODELS

    model = getattr(arguments, "model", None)
    if model in MODELS.names():
        return
    if isinstance(model, str) and model != default_model():  # of the default, the command knows whether it needs it
        from heliograph.vlm.checkpoint.names import ModelName

        ModelName.parse(model).locate()


def build_parser(chosen: str, config: ConfigFile | None = None) -> tuple[argparse.ArgumentParser, Command | None]:
    """The parser with every command named and the chosen one complete, and that command.

    Args:
        chosen: name of the command.
        config: gives its options their defaults; None for their own.

    Raises:
        UsageError: the config file says something that the command does not know.
    """
    parser, commands = _program_parser()
    found = None
    for name, summary in COMMANDS.items():
        if name != chosen:
            commands.add_parser(name, help=summary)
            continue
        detailed, found = _add_command(commands, name)
        if config is not None:
            config.apply(detailed, name)
    return parser, found


def build_whole_parser() -> tuple[argparse.ArgumentParser, list[argparse.ArgumentParser]]:
    """The parser with every command complete, and those of the commands; imports the modules of all of them."""
    parser, commands = _program_parser()
    return parser, [_add_command(commands, name)[0] for name in COMMANDS]


def _program_parser() -> tuple[argparse.ArgumentParser, _Subparsers]:
    parser = Parser(
        prog="heliograph",
        description="Answers of a large vision-language model over a thin uplink, for the fewest bytes.",
        epilog="heliograph COMMAND --help shows options and examples of one command.",
    )
    parser.add_argument("--version", action="version", version=f"heliograph {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands", parser_class=Parser)
    return parser, commands


def _add_command(commands: _Subparsers, name: str) -> tuple[argparse.ArgumentParser, Command]:
    found = REGISTRY.load(name)
    assert isinstance(found, Command)
    detailed = commands.add_parser(
        name,
        help=COMMANDS[name],
        description=found.description,
        epilog=found.epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_arguments(detailed)
    detailed.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    add_log_options(detailed)
    add_config_option(detailed)
    return detailed, found


def _fail(name: str, text: str, code: int, error: BaseException | None = None) -> int:
    _show_traceback(error)
    print(f"heliograph: {name}: {text}", file=sys.stderr, flush=True)
    return code


def _fail_internal(error: Exception) -> int:
    text = f"This is a bug ({type(error).__name__}); set {DEBUG_VARIABLE}=1 to see where."
    return _fail("internal-error", text, EXIT_INTERNAL, error)


def _show_traceback(error: BaseException | None) -> None:
    if error is not None and os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)


def _drop_stdout() -> None:
    """Point standard output at nothing, or the interpreter complains when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
