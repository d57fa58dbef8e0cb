"""``heliograph energy``: what a question about a photo costs a device in joules, strategy by strategy."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import Command, needs, positive_int, seconds_or_none, share
from heliograph.cli.options.photo import add_bundle_option
from heliograph.cli.text import printable
from heliograph.energy.constants import load_catalogue
from heliograph.energy.radios import board_named, radio_named
from heliograph.errors import UsageError
from heliograph.registry import STRATEGIES

DEFAULT_RADIO, DEFAULT_BOARD = "lorawan-sf7", "raspberry-pi-zero-2w"
_MAX_SLOWER = 1e4


def _slower(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MAX_SLOWER:
        raise argparse.ArgumentTypeError(f"not a factor above 0 such as 1 or 4.5: '{printable(text)}'")
    return value


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    shipped = load_catalogue()
    parser.add_argument("photo", metavar="PHOTO", type=Path, nargs="?", help="image file")
    parser.add_argument("question", metavar="QUESTION", nargs="?", help="1 to 2000 characters")
    parser.add_argument(
        "--radio",
        metavar="NAME",
        default=DEFAULT_RADIO,
        help=f"one of {', '.join(shipped.radios)} (default: {DEFAULT_RADIO})",
    )
    parser.add_argument(
        "--board",
        metavar="NAME",
        default=DEFAULT_BOARD,
        help=f"one of {', '.join(shipped.boards)} (default: {DEFAULT_BOARD})",
    )
    parser.add_argument(
        "--constants", metavar="FILE", type=Path, help="TOML file with radios, boards and constants of your own"
    )
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        action="append",
        help=f"one of {', '.join(STRATEGIES.names())}; may be repeated (default: all that the bundle allows)",
    )
    parser.add_argument(
        "--setting", metavar="KNOBS", default="", help="knobs of the one --strategy, such as size=96,quality=40"
    )
    parser.add_argument(
        "--budget",
        metavar="BYTES",
        type=positive_int,
        help="at most N payload bytes; a strategy without such a knob takes its largest setting that fits",
    )
    parser.add_argument(
        "--slower",
        metavar="FACTOR",
        type=_slower,
        default=1.0,
        help="how many times as long as this machine the board computes; on the board itself leave it out (default: 1)",
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=seconds_or_none,
        default=1.0,
        help="from the last packet to the answer (default: 1)",
    )
    parser.add_argument(
        "--repeat", metavar="N", type=positive_int, default=3, help="median of N encodings (default: 3)"
    )
    parser.add_argument(
        "--results", metavar="FILE", type=Path, help="results of a suite instead of a photo, such as results.json"
    )
    parser.add_argument(
        "--agreement",
        metavar="SHARE",
        type=share,
        help="with --results: answers that must agree with the whole photo's (default: 0.9)",
    )
    parser.add_argument("--sources", action="store_true", help="also print every constant with its sources")
    add_bundle_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    needs(arguments, "--agreement", "--results")
    catalogue = load_catalogue(arguments.constants)
    radio, board = radio_named(catalogue, arguments.radio), board_named(catalogue, arguments.board)
    if arguments.results is not None:
        if arguments.photo is not None:
            raise UsageError().noted("--results takes the place of PHOTO and QUESTION: leave out one or the other.")
        from heliograph.cli.energy.suite import say_suite

        return say_suite(arguments, radio, board)
    if arguments.photo is None or arguments.question is None:
        raise UsageError().noted("PHOTO and QUESTION are needed, or --results FILE.")
    from heliograph.cli.energy.photo import say_photo

    return say_photo(arguments, radio, board)


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Say what a question about a photo costs a device in joules: processor time, measured on this machine, times\n"
        "the power of a named board; packets times airtime and power of a radio; waking, waiting and tail. Every\n"
        "constant has a source and may be off by two; the order that is printed survives that. No cloud is asked."
    ),
    examples=(
        'heliograph energy photo.jpg "what is on the sign?"',
        'heliograph energy photo.jpg "what is on the sign?" --radio meshtastic-long-fast --board raspberry-pi-4b',
        'heliograph energy photo.jpg "how many stars?" --strategy klt --strategy webp --radio nb-iot --slower 6',
        "heliograph energy --results docs/results/reference.json --radio lte --sources",
    ),
)
