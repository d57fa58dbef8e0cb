"""``heliograph completion``: a script that completes commands and options in a shell."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, say
from heliograph.config import folder_or_hub_id

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
_FOLDER_NAMES = ("DIR", "FOLDER", "BUNDLE")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=f"one of {', '.join(SHELLS)}")


def _run(arguments: argparse.Namespace) -> int:
    import shtab

    from heliograph.cli.main import build_whole_parser

    parser, commands = build_whole_parser()
    for command in commands:
        for action in command._actions:  # argparse has no public list of its options
            if action.type in (Path, folder_or_hub_id):
                is_folder = action.metavar in _FOLDER_NAMES
                action.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]
    script = shtab.complete(parser, arguments.shell)
    say(arguments, script.rstrip("\n"), {"shell": arguments.shell, "script": script})
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Print a script that completes commands, options, their choices and file names. Write it where your shell\n"
        "looks: ~/.local/share/bash-completion/completions/heliograph, a folder of zsh's $fpath as _heliograph, or\n"
        "~/.config/fish/completions/heliograph.fish. It is made from the options of this version: make it again after\n"
        "an update."
    ),
    examples=(
        "heliograph completion bash",
        "heliograph completion zsh",
    ),
)
