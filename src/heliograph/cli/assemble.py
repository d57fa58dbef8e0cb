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
        help="folder that heliograph train field wrote (default: the one that ships with the package)",
    )


def _run(arguments: argparse.Namespace) -> int:
    out = make_folder(arguments.out or field_folder())
    from heliograph.training.field.assemble import alignment_file, assemble_field
    from heliograph.training.progress import Progress

    chosen = alignment_file(arguments.alignment)
    with Progress(arguments.json, printable) as progress:
        model = assemble_field(out, chosen, progress)
    used = "field" if arguments.out is None else str(model)
    text = f"the field model is in {printable(str(model))}\n  heliograph serve --vlm {printable(used)}"
    say(arguments, text, {"assembled": FIELD, "folder": str(model), "alignment": chosen.name})
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Put the field model together: SmolLM2-135M and EfficientNet-Lite2 from installed Python packages, each\n"
        "checked by its SHA-256, and a small alignment that was trained here. Nothing is downloaded; what is missing\n"
        "is named with the command that installs it. Real parts, a small alignment; no general VLM."
    ),
    examples=(
        "heliograph assemble field",
        "heliograph assemble field --out runs/assembled --alignment runs/field",
    ),
)
