"""``heliograph export``: the bundle that a device needs."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, note, say
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import byte_count, printable, table


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="BUNDLE", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--codec",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="codec folder of train codec; once for each kind (default: fit klt on scenes)",
    )
    add_model_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    out = make_folder(arguments.out)
    from heliograph.training.export import export_bundle

    bundle = export_bundle(
        arguments.model, out, codecs=arguments.codec, progress=lambda line: note(arguments, printable(line))
    )
    files = {path.name: path.stat().st_size for path in sorted(out.iterdir()) if path.is_file()}
    facts = {
        "bundle": str(out),
        "hash": bundle.hash.hex(),
        "tokens": bundle.grid.tokens,
        "hidden_size": bundle.hidden_size,
        "files": files,
    }
    rows = [[printable(name), byte_count(size)] for name, size in files.items()]
    tokens = f"{bundle.grid.tokens} x {bundle.hidden_size} visual tokens"
    say(arguments, f"{table(['file', 'size'], rows)}\n\nbundle {bundle.hash.hex()}, {tokens}", facts)
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Write encoder, codec, preprocessing and local model of a VLM into one folder whose manifest holds their\n"
        "hashes. The exported encoder is compared with the model before the folder counts as done."
    ),
    examples=(
        "heliograph export --out bundle",
        "heliograph export --out bundle --model runs/train/model --codec runs/codec",
        "heliograph export --out bundle --codec runs/codec --codec runs/meta",
    ),
)
