"""``heliograph train reference``, ``train field``, ``train codec`` and ``train strategy NAME``."""

from __future__ import annotations

import argparse
from pathlib import Path

from heliograph.cli.command import EXIT_DONE, Command, positive_int, positive_minutes, say, whole_number
from heliograph.cli.files import make_folder
from heliograph.cli.fit import add_fit_options, fit
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import printable
from heliograph.errors import UsageError

REFERENCE, FIELD, CODEC, STRATEGY = "reference", "field", "codec", "strategy"
_MINUTES, _PART_MINUTES = 60.0, 14.0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        choices=(REFERENCE, FIELD, CODEC, STRATEGY),
        help="reference, field, codec or strategy",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="strategy: whose part is trained")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for checkpoints and result")
    parser.add_argument(
        "--seed", metavar="N", type=whole_number, help="seed of weights and batches, or of the first scene"
    )
    model = parser.add_argument_group("reference and field")
    model.add_argument(
        "--minutes",
        metavar="M",
        type=positive_minutes,
        help="optimisation time; codec meta and strategy too (default: 60; strategy: 14)",
    )
    model.add_argument(
        "--captions", metavar="DIR", type=Path, help="field: folder with captions.jsonl and the photos it names"
    )
    model.add_argument("--shards", metavar="N", type=positive_int, help="number of shards of 500 scenes to train on")
    model.add_argument("--fresh", action="store_true", help="start again even where DIR holds a checkpoint")
    codec = parser.add_argument_group("codec")
    add_model_option(parser)
    add_fit_options(codec, "--kind")


def _run(arguments: argparse.Namespace) -> int:
    if arguments.what == REFERENCE and arguments.photos is not None:
        raise UsageError().noted("train reference draws its own scenes, whose answers are known: leave out --photos.")
    if arguments.what == FIELD and (arguments.photos is None or arguments.captions is None):
        raise UsageError().noted("train field needs photos with captions (--captions) and photos without (--photos).")
    if (arguments.what == STRATEGY) != bool(arguments.name):
        raise UsageError().noted(
            "strategy takes a NAME, as in heliograph train strategy frankensplit; the others none."
        )
    if arguments.minutes is None:
        arguments.minutes = _PART_MINUTES if arguments.what == STRATEGY else _MINUTES
    trainings = {REFERENCE: _train_reference, FIELD: _train_field, CODEC: fit, STRATEGY: _train_strategy}
    written = trainings[arguments.what](arguments)
    facts = {"trained": arguments.what, "folder": str(written)}
    say(arguments, f"{arguments.what} written to {printable(str(written))}", facts)
    return EXIT_DONE


def _train_reference(arguments: argparse.Namespace) -> Path:
    from heliograph.training.progress import Progress
    from heliograph.training.reference.loop import train_reference

    with Progress(clean=printable) as progress:
        return train_reference(
            make_folder(arguments.out),
            minutes=arguments.minutes,
            shards=arguments.shards,
            resume=not arguments.fresh,
            progress=progress,
            **({} if arguments.seed is None else {"seed": arguments.seed}),
        )


def _train_field(arguments: argparse.Namespace) -> Path:
    from heliograph.training.field.run import train_field
    from heliograph.training.progress import Progress

    with Progress(clean=printable) as progress:
        return train_field(
            make_folder(arguments.out),
            arguments.captions,
            arguments.photos,
            minutes=arguments.minutes,
            seed=arguments.seed or 0,
            resume=not arguments.fresh,
            progress=progress,
        )


def _train_strategy(arguments: argparse.Namespace) -> Path:
    from heliograph.training.progress import Progress
    from heliograph.training.strategies import TRAININGS, TrainPart

    train: TrainPart = TRAININGS.load(arguments.name)
    with Progress(clean=printable) as progress:
        part = train(
            arguments.name,
            make_folder(arguments.out),
            model=arguments.model,
            minutes=arguments.minutes,
            seed=arguments.seed or 0,
            progress=progress,
        )
    return part.folder


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Train the reference model from nothing (three stages); or what joins the pretrained halves of the field\n"
        "model; or make a codec for any model's visual tokens: klt in closed form, meta by training, pq by\n"
        "clustering; or the part that a strategy needs, to be copied to parts/NAME of a bundle. A training that was\n"
        "stopped goes on. Progress goes to standard error."
    ),
    examples=(
        "heliograph train reference --out runs/train --minutes 120",
        "heliograph train field --captions flickr --photos street --out runs/field --minutes 120",
        "heliograph train codec --out runs/codec --scenes 400",
        "heliograph train codec --kind meta --out runs/meta --minutes 60",
        "heliograph train codec --out runs/codec --vlm path/to/checkpoint --photos photos",
        "heliograph train strategy frankensplit --out runs/frankensplit --minutes 20",
    ),
)
