"""``heliograph assemble field``: a vision-language model of real pretrained parts."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, say
from heliograph.cli.files import make_folder
from heliograph.cli.text import printable
from heliograph.config import field_folder

FIELD = "field"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", choices=(FIELD,), help="field, the only model that is assembled")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder to write (default: where --vlm field looks, in $XDG_DATA_HOME or ~/.local/share)",
    )
    parser.add_argument(
        "--alignment",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder that heliograph train field wrote",
    )


def _run(arguments: argparse.Namespace) -> int:
    out = make_folder(arguments.out or field_folder())
    from heliograph.training.field.alignment import CAPTIONS_FILE
    from heliograph.training.field.assemble import assemble_field
    from heliograph.training.progress import Progress

    with Progress(arguments.json, printable) as progress:
        model = assemble_field(out, arguments.alignment / CAPTIONS_FILE, progress)
    used = "field" if arguments.out is None else str(model)
    text = f"the field model is in {printable(str(model))}\n  heliograph serve --vlm {printable(used)}"
    say(arguments, text, {"assembled": FIELD, "folder": str(model)})
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Put the field model together: SmolLM2-135M and EfficientNet-Lite2 from installed Python packages, each\n"
        "checked by its SHA-256, and the small alignment that heliograph train field makes. Nothing is downloaded;\n"
        "what is missing is named with the command that installs it. Real parts, a small alignment; no general VLM."
    ),
    examples=(
        "heliograph assemble field --alignment runs/field",
        "heliograph assemble field --out runs/assembled --alignment runs/field",
    ),
)
