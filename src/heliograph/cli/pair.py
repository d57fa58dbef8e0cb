"""``heliograph pair``: make this device trust a server that ``heliograph serve --public`` runs."""

from __future__ import annotations

import argparse
import getpass
import sys

from heliograph.cli.command import EXIT_DONE, Command, say
from heliograph.cli.text import printable


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the code holds an access token, and what stands on a command line stays in the shell's history."""


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.edge.pairing import PairingCode, pair, pairing_path

    made = pair(PairingCode.parse(_pasted_line()))
    shown = printable(made.server)
    text = f'paired with {shown}; from now on heliograph ask photo.jpg "what is on the sign?" asks there'
    say(arguments, text, {"server": made.server, "pairing_file": str(pairing_path())})
    return EXIT_DONE


def _pasted_line() -> str:
    from heliograph.edge.pairing import MAX_CODE_CHARACTERS

    if sys.stdin.isatty():
        return getpass.getpass("pairing code (it is not shown): ")
    return sys.stdin.readline(MAX_CODE_CHARACTERS)


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Read the line that heliograph serve --public shows, from a prompt that does not show it or from standard\n"
        "input, and keep address, access token and certificate for heliograph ask. A later pairing takes the place of\n"
        "this one."
    ),
    examples=("heliograph pair", "heliograph pair --json"),
)
