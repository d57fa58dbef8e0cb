"""``heliograph assemble field``: a vision-language model of real pretrained parts."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, say
from heliograph.cli.files import make_folder
from heliograph.cli.text import printable
from heliograph.config import FIELD, field_folder
from heliograph.edge.processor import ANY, PROFILES


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", choices=(FIELD,), help="field, the only model that is assembled")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="folder to write (default: where --vlm field looks, in $XDG_DATA_HOME or ~/.local/share)",
    )
    parser.add_argument(
        "--alignment", metavar="DIR", type=Path, help="folder that heliograph train field wrote (default: what ships)"
    )
    parser.add_argument(
        "--open-data-only",
        action="store_true",
        help="the alignment that photos of open licences alone have taught; weaker, and without a bundle",
    )
    parser.add_argument(
        "--photos",
        metavar="PATH",
        type=Path,
        help="folder, .zip or .txt list of photos to put the bundle's encoder into eight bits by (default: float32)",
    )
    parser.add_argument(
        "--device-profile",
        choices=PROFILES,
        default=ANY,
        help="with --photos: processors of the devices, as for export",
    )


def _run(arguments: argparse.Namespace) -> int:
    out = make_folder(arguments.out or field_folder())
    from heliograph.training.field.alignment import CAPTIONS_FILE, OPEN_FILE, SHIPPED
    from heliograph.training.field.assemble import assemble_field, write_field_bundle
    from heliograph.training.progress import Progress

    file = OPEN_FILE if arguments.open_data_only else CAPTIONS_FILE
    with Progress(arguments.json, printable) as progress:
        model = assemble_field(out, (arguments.alignment or SHIPPED) / file, progress)
        bundle = write_field_bundle(out, photos=arguments.photos, profile=arguments.device_profile, progress=progress)
    facts = {"assembled": FIELD, "folder": str(model), "bundle": None if bundle is None else str(bundle)}
    say(arguments, _message(arguments, model, bundle), facts)
    return EXIT_DONE


def _message(arguments: argparse.Namespace, model: Path, bundle: Path | None) -> str:
    shown = printable(str(model))
    used = FIELD if arguments.out is None else shown
    if bundle is None:
        rest = (
            "no codec ships for this alignment:\n"
            f"  heliograph fit --vlm {used} --photos PHOTOS --out CODEC\n"
            f"  heliograph export --vlm {used} --codec CODEC --photos PHOTOS --out BUNDLE"
        )
    else:
        of = FIELD if arguments.out is None else printable(str(bundle))
        rest = (
            f"its bundle is in {printable(str(bundle))}\n"
            f"  heliograph serve --vlm {used} --bundle {of}\n"
            f"  heliograph ask PHOTO QUESTION --bundle {of}"
        )
    return f"the field model is in {shown}\n{rest}"


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Put the field model together: SmolLM2-135M and EfficientNet-Lite2 from installed Python packages, each\n"
        "checked by its SHA-256, and a small alignment that ships; and the bundle of its devices. Nothing is\n"
        "downloaded; what is missing is named with the command that installs it. Real parts, a small\n"
        "alignment; no general VLM."
    ),
    examples=(
        "heliograph assemble field",
        "heliograph assemble field --out runs/assembled --alignment runs/field",
    ),
)
