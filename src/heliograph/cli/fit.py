"""``heliograph fit``: a codec for any vision-language model, from photos, without labels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.command import EXIT_DONE, Command, pixel_size, positive_int, positive_minutes, say, whole_number
from heliograph.cli.files import make_folder
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import printable
from heliograph.registry import CODECS

if TYPE_CHECKING:
    from heliograph.types import Reporter


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_option(parser)
    add_fit_options(parser, "--codec")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="codec folder to write")
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=pixel_size,
        action="append",
        help="klt, meta: pixels of a frame that photos will be sent in, as for export (default: the usual ones)",
    )
    parser.add_argument(
        "--minutes", metavar="M", type=positive_minutes, default=60.0, help="meta: training time (default: 60)"
    )
    parser.add_argument("--seed", metavar="N", type=whole_number, help="seed of everything drawn at random")


def add_fit_options(parser: argparse._ActionsContainer, kind_option: str) -> None:
    """What ``fit`` and ``train codec`` share: kind, photos, how many, and where to start from."""
    parser.add_argument(
        kind_option,
        dest="kind",
        choices=CODECS.names(),
        default="klt",
        help="closed form, learned, or product quantisation (default: klt)",
    )
    parser.add_argument(
        "--photos", metavar="PATH", type=Path, help="fit on the photos of this folder, .zip or .txt list"
    )
    parser.add_argument(
        "--scenes",
        "--most",
        dest="scenes",
        metavar="N",
        type=positive_int,
        help="maximum number of pictures (default: 400 for klt, 25000 for meta, 1600 for pq)",
    )
    parser.add_argument(
        "--start",
        metavar="DIR",
        type=Path,
        help="meta, pq: klt codec folder to start from (default: shipped, or fitted)",
    )


def fit(arguments: argparse.Namespace) -> Path:
    """The codec that the options ask for, in ``--out``; progress goes to standard error, with ``--json`` too."""
    from heliograph.training.progress import Progress

    with Progress(clean=printable) as progress:
        return _fit(arguments, progress)


def _fit(arguments: argparse.Namespace, progress: Reporter) -> Path:
    seed = {} if arguments.seed is None else {"seed": arguments.seed}
    out = make_folder(arguments.out)

    if arguments.kind == "meta":
        from heliograph.training.meta.train import SCENES, train_meta

        return train_meta(
            arguments.model,
            out,
            photos=arguments.photos,
            frames=getattr(arguments, "size", None),
            pictures=arguments.scenes or SCENES,
            start=arguments.start,
            minutes=arguments.minutes,
            progress=progress,
            **seed,
        )
    if arguments.kind == "pq":
        from heliograph.training.fitting.fit_product import PICTURES, fit_product

        return fit_product(
            arguments.model,
            out,
            photos=arguments.photos,
            pictures=arguments.scenes or PICTURES,
            start=arguments.start,
            progress=progress,
            **seed,
        )
    from heliograph.training.fitting.fit_codec import PICTURES as KLT_PICTURES
    from heliograph.training.fitting.fit_codec import fit_codec

    return fit_codec(
        arguments.model,
        out,
        photos=arguments.photos,
        scenes=arguments.scenes or KLT_PICTURES,
        sizes=getattr(arguments, "size", None),
        progress=progress,
        **seed,
    )


def _run(arguments: argparse.Namespace) -> int:
    written = fit(arguments)
    facts = {"codec": arguments.kind, "model": arguments.model, "folder": str(written)}
    say(arguments, f"codec {arguments.kind} written to {printable(str(written))}", facts)
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Fit a codec to the visual tokens of a frozen model, without captions or labels. The photos' tokens are kept\n"
        "in the codec folder while it works: a run that was stopped goes on. Files that are no photos are skipped,\n"
        "counted and named. Without photos it fits on generated scenes, which suits the reference model alone."
    ),
    examples=(
        "heliograph fit --vlm HuggingFaceTB/SmolVLM-256M-Instruct --photos photos --codec klt --out codec",
        "heliograph fit --vlm 'path/to/checkpoint#one-frame' --photos photos.zip --out codec",
        "heliograph fit --codec meta --minutes 60 --out codec",
    ),
)
