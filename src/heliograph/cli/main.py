"""``heliograph``: finds the command, runs it, and turns whatever happens into an exit code and at most one line.

The exit codes are those of :class:`heliograph.exit_codes.ExitCode`.
Only the module of the chosen command is imported, and it imports its rooms when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph import __version__
from heliograph.cli.command import EXIT_DONE, ArgumentError, Command, Parser, rare_collections
from heliograph.cli.config_file import ConfigFile, add_config_option
from heliograph.cli.failures import Failure, failure_of
from heliograph.cli.files import empty_folders_removed
from heliograph.cli.options.logs import add_log_options, set_up_logging
from heliograph.config import DEBUG_VARIABLE
from heliograph.errors import HeliographError, MissingExtraError, UsageError
from heliograph.exit_codes import ExitCode, exit_code_lines
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
    "train": "train the reference model or the field model, or fit the codec",
    "assemble": "put the field model together from installed pretrained parts",
    "energy": "say what a question about a photo costs a device in joules",
    "sizes": "compare the bytes of a model's visual tokens with picture files",
    "export": "write the bundle that a device needs",
    "doctor": "check what works here and what is missing",
    "completion": "complete commands and options in your shell",
}
_ROOMS = {"demo": "demo.command", "doctor": "doctor.command", "energy": "energy.command", "trace": "trace.command"}
"""Modules of the commands that have a room of their own."""

_TRAINING = ("assemble", "calibrate", "export", "fit", "train")
"""Commands that import most and serve nobody meanwhile."""

REGISTRY = Registry("command", {name: f"heliograph.cli.{_ROOMS.get(name, name)}:COMMAND" for name in COMMANDS})

if TYPE_CHECKING:  # argparse has no public name for it
    _Subparsers = argparse._SubParsersAction[Parser]

_EXTRA_OF_MODULE = {
    **dict.fromkeys(("PIL", "onnxruntime", "websockets", "tokenizers", "rich", "huggingface_hub", "pyvips"), "edge"),
    "shtab": "edge",
    **dict.fromkeys(("torch", "transformers", "starlette", "uvicorn", "jinja2", "num2words", "cryptography"), "cloud"),
    **dict.fromkeys(("matplotlib", "ai_edge_litert"), "bench"),
    **dict.fromkeys(("onnx", "sklearn"), "train"),
    **dict.fromkeys(("gguf", "cv2"), "field"),
    "pynvml": "gpu",
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
    line = _CommandLine(_chosen(argv), _wants_json(argv))
    try:
        return _run(argv, line)
    except HeliographError as error:
        return _fail(line, failure_of(error, line.command, line.arguments), error)
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
        if (error.name or "").startswith(_IN_THE_OTHER_WHEEL):
            missing = MissingExtraError().noted("It is in a wheel of its own: pip install heliograph-cloud.")
            return _fail(line, failure_of(missing, line.command), error)
        if extra is None:
            return _fail(line, _bug(error), error)
        return _fail(line, failure_of(MissingExtraError(extra), line.command), error)
    except KeyboardInterrupt:
        return _fail(line, Failure("interrupted", "Stopped by Ctrl-C.", ExitCode.INTERRUPTED))
    except BrokenPipeError:
        _drop_stdout()  # the reader (head, less) has seen enough
        return EXIT_DONE
    except SystemExit as leaving:  # argparse after --help and --version
        return leaving.code if isinstance(leaving.code, int) else EXIT_DONE
    except Exception as error:  # a bug: still one line, and a way to see more
        return _fail(line, _bug(error), error)


@dataclass
class _CommandLine:
    """What is known of a command line before and after it is parsed.

    Attributes:
        command: the word where its name belongs.
        as_json: --json was given.
        arguments: parsed; None where they cannot be.
    """

    command: str
    as_json: bool
    arguments: argparse.Namespace | None = None


def _run(argv: list[str], line: _CommandLine) -> int:
    config = ConfigFile.find(argv, COMMANDS)
    parser, command = build_parser(line.command, config)
    if not argv:
        parser.print_help()
        return EXIT_DONE
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        raise ArgumentError(f"unrecognized arguments: {' '.join(unknown)}; see heliograph {line.command} --help")
    line.arguments = arguments
    line.as_json = arguments.json
    assert command is not None  # argparse has refused everything else
    set_up_logging(arguments)
    _look_up(arguments)
    try:
        with empty_folders_removed(), rare_collections() if line.command in _TRAINING else contextlib.nullcontext():
            code = command.run(arguments)
    except UsageError as error:
        config.explain(error, line.command)
        raise
    sys.stdout.flush()
    return code


def _chosen(argv: Sequence[str]) -> str:
    """The word where the command's name belongs."""
    return next((word for word in argv if not word.startswith("-")), "")


def _wants_json(argv: Sequence[str]) -> bool:
    """Whether JSON was asked for, as far as that can be told of a line that may not be a command's."""
    options = argv[: argv.index("--")] if "--" in argv else argv
    return "--json" in options


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
        epilog="heliograph COMMAND --help shows options and examples of one command.\n\nexit codes:\n"
        + "\n".join(f"  {line}" for line in exit_code_lines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
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


def _fail(line: _CommandLine, failure: Failure, error: BaseException | None = None) -> int:
    _show_traceback(error)
    if not line.as_json and line.arguments is not None and line.arguments.log_json:
        return failure.log()
    return failure.show(as_json=line.as_json)


def _bug(error: Exception) -> Failure:
    text = f"This is a bug ({type(error).__name__}); set {DEBUG_VARIABLE}=1 to see where."
    return Failure("internal-error", text, ExitCode.BUG)


def _show_traceback(error: BaseException | None) -> None:
    if error is not None and os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)


def _drop_stdout() -> None:
    """Point standard output at nothing, or the interpreter complains when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
