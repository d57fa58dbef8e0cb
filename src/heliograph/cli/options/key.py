"""``--key-file``: the key with which sessions and stream files are authenticated."""

from __future__ import annotations

import argparse
import os
import stat
from pathlib import Path

from heliograph.cli.command import note
from heliograph.cli.text import printable
from heliograph.config import read_keys


def add_key_option(parser: argparse.ArgumentParser, meaning: str) -> None:
    """--key-file, with what it means for this command."""
    parser.add_argument("--key-file", metavar="FILE", type=Path, help=f"{meaning} (openssl rand -hex 32 makes one)")


def all_keys(arguments: argparse.Namespace) -> tuple[bytes, ...]:
    """The keys in the file that was named; none where none was.

    Raises:
        KeyFileError: no usable key there.
    """
    if arguments.key_file is None:
        return ()
    keys = read_keys(arguments.key_file)
    warn_of_exposed_key(arguments)
    return keys


def first_key(arguments: argparse.Namespace) -> bytes:
    """The first key of the file, which is the one that a device signs with; empty where no file was named.

    Raises:
        KeyFileError: no usable key there.
    """
    return next(iter(all_keys(arguments)), b"")


def warn_of_exposed_key(arguments: argparse.Namespace) -> None:
    """Say on standard error that other users of this machine can read the key file."""
    path: Path | None = arguments.key_file
    if path is None or os.name != "posix" or not path.is_file():
        return
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        note(arguments, f"heliograph: {printable(str(path))} can be read by others: chmod 600 it")
