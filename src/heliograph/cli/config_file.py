"""The config file on the command line: a section per command, keys named as its options.

What a file says becomes the default of an option, read by the option's own type. So the command line comes first, then
the environment, then the file, then the option's own default.
"""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliograph.cli.command import Parser
from heliograph.cli.text import printable
from heliograph.config import CONFIG_VARIABLE, OPTION_VARIABLES, config_path, read_config
from heliograph.errors import UsageError

_NOT_IN_FILES = ("help", "config", "verbose")
_MAX_SHOWN = 100


@dataclass
class ConfigFile:
    """What a config file says.

    Attributes:
        path: of the file; None where there is none.
        sections: keys and values by command.
        applied: keys whose values are the defaults of the command now.
    """

    path: Path | None = None
    sections: dict[str, Any] = field(default_factory=dict)
    applied: list[str] = field(default_factory=list)

    @classmethod
    def find(cls, argv: Sequence[str], commands: Collection[str]) -> ConfigFile:
        """The file that the command line, the environment or the usual place names.

        Raises:
            FileUnreadableError: it was named and is not there, or is no TOML.
            UsageError: a section that is no command.
        """
        if not argv or {"-h", "--help", "--version"} & set(argv):
            return cls()
        looking = Parser(prog="heliograph", add_help=False)
        add_config_option(looking)
        path = config_path(looking.parse_known_args(argv)[0].config)
        if path is None:
            return cls()
        sections = read_config(path)
        for name, section in sections.items():
            if not isinstance(section, dict):
                raise _wrong(path, f"{_shown(name)} stands outside of a section: begin with the command, such as [ask]")
            if name not in commands:
                raise _wrong(path, f"no command is called {_shown(name)}{_suggestion(name, commands)}")
        return cls(path, sections)

    def apply(self, parser: argparse.ArgumentParser, command: str) -> None:
        """Make the section's values the defaults of the command's options.

        Raises:
            UsageError: a key that is no option, or a value that the option does not take.
        """
        options = dict(_options(parser))
        for key, value in self.sections.get(command, {}).items():
            assert self.path is not None  # there is a section
            action = options.get(key.replace("_", "-"))
            if action is None:
                raise _wrong(
                    self.path, f"[{command}] has no option {_shown(key)}{_suggestion(key.replace('_', '-'), options)}"
                )
            try:
                default = _converted(action, value)
            except (argparse.ArgumentTypeError, TypeError, ValueError) as error:
                raise _wrong(self.path, f"[{command}] {key}: {error}") from error
            if os.environ.get(OPTION_VARIABLES.get(action.dest, "")):
                continue
            action.default, action.required = default, False
            self.applied.append(key)

    def explain(self, error: UsageError, command: str) -> None:
        """Options that do not go together may come from the file: say so."""
        if self.applied:
            error.add_note(f"[{command}] of {printable(str(self.path))} sets {', '.join(self.applied)}.")


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """--config, of every command."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help=f"config file (default: ${CONFIG_VARIABLE}, else ~/.config/heliograph/config.toml where there is one)",
    )


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Keys that a section may have, and what they set. argparse has no public list of its options."""
    for action in parser._actions:
        is_pair = isinstance(action, argparse.BooleanOptionalAction)  # --local and --no-local
        for option in action.option_strings[:1] if is_pair else action.option_strings:
            if option.startswith("--") and option[2:] not in _NOT_IN_FILES:
                yield option[2:], action


def _converted(action: argparse.Action, value: Any) -> Any:
    """The value as the command line would give it.

    Raises:
        ValueError, TypeError, argparse.ArgumentTypeError: the option does not take it.
    """
    if action.nargs == 0:  # a switch
        if not isinstance(value, bool):
            raise ValueError("true or false is wanted")
        return value
    if isinstance(action, argparse._AppendAction):
        return [_read(action, one) for one in (value if isinstance(value, list) else [value])]
    return _read(action, value)


def _read(action: argparse.Action, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a text or a number is wanted")
    text = os.path.expanduser(value) if isinstance(value, str) else str(value)
    read: Any = action.type
    made = text if read is None else read(text)
    if action.choices is not None and made not in action.choices:
        raise ValueError(f"{_shown(text)} is none of {', '.join(map(str, action.choices))}")
    return made


def _suggestion(name: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _shown(name: str) -> str:
    return repr(name[:_MAX_SHOWN])


def _wrong(path: Path, text: str) -> UsageError:
    return UsageError().noted(f"{path}: {text}.")
