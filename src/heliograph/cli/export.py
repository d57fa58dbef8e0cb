"""``heliograph export``: the bundle that a device needs."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, say
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import byte_count, printable, table


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--codec", metavar="DIR", type=Path, help="codec folder of train codec (default: fit one on scenes)"
    )
    add_model_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    raise NotImplementedError


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description="Write encoder, codec, preprocessing and local model of a VLM into one folder with hashes.",
    examples=(
        "heliograph export --out bundle",
        "heliograph export --out bundle --model runs/train/model --codec runs/codec",
    ),
)
