"""``heliograph sizes``: bytes of a model's visual tokens on your photos, beside picture files."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, positive_int, say
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import printable, table
from heliograph.config import folder_or_hub_id


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_option(parser)
    parser.add_argument(
        "--photos", metavar="PATH", type=Path, required=True, help="folder, .zip or .txt list of photos"
    )
    parser.add_argument(
        "--codec",
        metavar="DIR",
        type=folder_or_hub_id,
        action="append",
        default=[],
        help="codec folder of fit, or a hub id; may be repeated, one per kind (default: fit klt on half the photos)",
    )
    parser.add_argument(
        "--most", metavar="N", type=positive_int, default=40, help="maximum number of photos (default: 40)"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="also write sizes.json and sizes.md into this folder")


def _run(arguments: argparse.Namespace) -> int:
    out = make_folder(arguments.out) if arguments.out else None
    from heliograph.bench.device.sizes import LINKS_MBIT, cells, facts, markdown, measure_sizes
    from heliograph.codec.bundle import Bundle
    from heliograph.training.progress import Progress
    from heliograph.vlm.codec_folder import check_fitted_on
    from heliograph.vlm.opening import open_model

    folders = [Bundle.from_pretrained(folder) for folder in arguments.codec]
    for folder in folders:
        check_fitted_on(folder, arguments.model)
    with Progress(arguments.json, printable) as progress:
        found = measure_sizes(
            open_model(arguments.model),
            arguments.photos,
            codecs=[codec for folder in folders for codec in folder.codecs.values()],
            most=arguments.most,
            progress=progress,
        )
    if out:
        found.write_json(out / "sizes.json")
        (out / "sizes.md").write_text(markdown([found]), encoding="utf-8")
    head = ["representation", "weights", "bytes", *(f"s at {rate:g} Mbit/s" for rate in LINKS_MBIT)]
    shown = table(head, [cells(row) for row in found.rows], left=(0, 1))
    about = f"{found.tokens:,.0f} tokens of {found.hidden_size:,} channels; means over {found.photos} photos"
    say(arguments, f"{shown}\n\n{printable(found.model)}: {about}", facts(found))
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Measure the bytes of a model's visual tokens: raw, and coded at several errors (length of the error over\n"
        "that of the tokens), beside JPEG, WebP and AVIF of the same photos at as many pixels as the model reads and\n"
        "at full size; and the seconds that they take on three links. Answers are not evaluated."
    ),
    examples=(
        "heliograph sizes --vlm 'HuggingFaceTB/SmolVLM-256M-Instruct#one-frame' --photos photos",
        "heliograph sizes --vlm path/to/checkpoint --photos photos --codec codec --out results",
    ),
)
