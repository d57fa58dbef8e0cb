"""``heliograph train reference`` and ``heliograph train codec``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, positive_int, say, whole_number
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import printable
from heliograph.errors import UsageError
from heliograph.registry import CODECS

REFERENCE, CODEC = "reference", "codec"


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100_000:
        raise ValueError
    return value


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="WHAT", choices=(REFERENCE, CODEC), help="reference or codec")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for checkpoints and result")
    parser.add_argument("--seed", metavar="N", type=whole_number, help="of weights and batches, or of the first scene")
    model = parser.add_argument_group("reference")
    model.add_argument(
        "--minutes", metavar="M", type=_minutes, default=60.0, help="of optimisation; codec meta too (default: 60)"
    )
    model.add_argument("--shards", metavar="N", type=positive_int, help="train on so many shards of 500 scenes")
    model.add_argument("--fresh", action="store_true", help="begin anew where DIR holds a checkpoint")
    codec = parser.add_argument_group("codec")
    add_model_option(parser)
    codec.add_argument(
        "--kind",
        choices=CODECS.names(),
        default="klt",
        help="closed form, learned, or product quantisation (default: klt)",
    )
    codec.add_argument(
        "--photos", metavar="PATH", type=Path, help="fit on the photos of this folder, .zip or .txt list"
    )
    codec.add_argument(
        "--scenes",
        metavar="N",
        type=positive_int,
        help="pictures at most (default: 400 for klt, 25000 for meta, 1600 for pq)",
    )
    codec.add_argument(
        "--start",
        metavar="DIR",
        type=Path,
        help="meta, pq: klt codec folder to start from (default: shipped, or fitted)",
    )


def _run(arguments: argparse.Namespace) -> int:
    if arguments.what == REFERENCE and arguments.photos is not None:
        raise UsageError  # the reference model is trained on scenes, whose answers are known
    seed = {} if arguments.seed is None else {"seed": arguments.seed}
    out = make_folder(arguments.out)

    def progress(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    if arguments.what == REFERENCE:
        from heliograph.training.reference_loop import train_reference

        written = train_reference(
            out,
            minutes=arguments.minutes,
            shards=arguments.shards,
            resume=not arguments.fresh,
            progress=progress,
            **seed,
        )
    elif arguments.kind == "meta":
        from heliograph.training.meta.train import SCENES, train_meta

        written = train_meta(
            arguments.model,
            out,
            photos=arguments.photos,
            pictures=arguments.scenes or SCENES,
            start=arguments.start,
            minutes=arguments.minutes,
            progress=progress,
            **seed,
        )
    elif arguments.kind == "pq":
        from heliograph.training.fit_product import PICTURES, fit_product

        written = fit_product(
            arguments.model,
            out,
            photos=arguments.photos,
            pictures=arguments.scenes or PICTURES,
            start=arguments.start,
            progress=progress,
            **seed,
        )
    else:
        from heliograph.training.fit_codec import fit_codec

        written = fit_codec(
            arguments.model,
            out,
            photos=arguments.photos,
            scenes=arguments.scenes or 400,
            progress=progress,
            **seed,
        )
    facts = {"trained": arguments.what, "folder": str(written)}
    say(arguments, f"{arguments.what} written to {printable(str(written))}", facts)
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Train the reference model from nothing (three stages), or make a codec for any model's visual tokens: klt in\n"
        "closed form, meta by training, pq by clustering. A training that was stopped goes on. Progress goes to\n"
        "standard error."
    ),
    examples=(
        "heliograph train reference --out runs/train --minutes 120",
        "heliograph train codec --out runs/codec --scenes 400",
        "heliograph train codec --kind meta --out runs/meta --minutes 60",
        "heliograph train codec --out runs/codec --model path/to/checkpoint --photos photos",
    ),
)
