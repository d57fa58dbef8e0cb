"""``heliograph demo``: a cloud process, a thin and a quick link, one photo, and every strategy on both."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.command import EXIT_DONE, Command, note, positive_int, say, seconds
from heliograph.cli.files import make_folder, write_file
from heliograph.cli.live import DraftDisplay
from heliograph.cli.model_note import is_reference_model, note_model
from heliograph.cli.options.photo import add_bundle_option, bundle_of_model, open_bundle, photo_named
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import json_text, printable
from heliograph.errors import MissingExtraError
from heliograph.reference.assets import DEMO_QUESTION, demo_photo_path
from heliograph.serving.child import CloudProcess

if TYPE_CHECKING:
    from heliograph.cli.demo.show import Show
    from heliograph.cli.demo.table import OverLink
    from heliograph.edge.report import Draft
    from heliograph.transport.link_model import LinkProfile

DEFAULT_LINKS = ("20kbit,200ms", "1mbit,50ms")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("runs/demo"), help="folder for its files (default: runs/demo)"
    )
    parser.add_argument(
        "--link",
        metavar="LINK",
        action="append",
        help=f"rate, round trip, or a trace; may be repeated (default: {' and '.join(DEFAULT_LINKS)})",
    )
    parser.add_argument(
        "--photo",
        metavar="PHOTO",
        type=Path,
        help="photo to use instead of the shipped one; heliograph samples writes a few",
    )
    parser.add_argument(
        "--question",
        dest="questions",
        metavar="TEXT",
        action="append",
        help=f"may be repeated, the table is of the first (default: {DEMO_QUESTION!r})",
    )
    parser.add_argument(
        "--repeat", metavar="N", type=positive_int, default=3, help="show the median of N exchanges (default: 3)"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=120.0, help="time limit of one exchange (default: 120)"
    )
    add_model_option(parser)
    add_bundle_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.cli.demo.show import Show
    from heliograph.cli.demo.table import first_sentences, links_table
    from heliograph.edge.device import Device
    from heliograph.transport.links import parse_link

    links = [parse_link(text) for text in arguments.link or DEFAULT_LINKS]
    photo, questions = arguments.photo or demo_photo_path(), arguments.questions or [DEMO_QUESTION]
    device = Device(open_bundle(bundle_of_model(arguments)))
    out = make_folder(arguments.out)
    note(arguments, f"starting a cloud with the model {printable(arguments.model)} ...")
    model_note = note_model(arguments, is_reference=is_reference_model(arguments.model, device.bundle))
    with photo_named(photo), CloudProcess(arguments.model, bundle_of_model(arguments)) as cloud:
        show = Show(cloud.url, device, photo, questions[0], links[0], arguments.timeout)
        drafts, cuts, others, found = asyncio.run(_perform(arguments, show, links, questions[1:]))
    facts = {
        "question": questions[0],
        "source": "measured",
        "repetitions": arguments.repeat,
        "stream": [asdict(draft) for draft in drafts],
        "cuts": [asdict(cut) for cut in cuts],
        "other_questions": [
            {"question": question, "stream": [asdict(draft) for draft in drafts]}
            for question, drafts in zip(questions[1:], others, strict=True)
        ],
        "links": [asdict(one) for one in found],
        **model_note,
    }
    write_file(out / "demo.json", (json_text(facts) + "\n").encode())
    written = [out / "demo.json", *_draw(arguments, found, photo, questions[0], out / "demo.png")]
    note(arguments, "\nto the final answer, opening the connection included; measured, the link imitated:\n")
    names = ", ".join(printable(str(path)) for path in written)
    say(arguments, "\n".join([links_table(found), "", *first_sentences(found), f"written: {names}"]), facts)
    return EXIT_DONE


async def _perform(
    arguments: argparse.Namespace, show: Show, links: Sequence[LinkProfile], questions: Sequence[str]
) -> tuple[tuple[Draft, ...], tuple[Draft, ...], list[tuple[Draft, ...]], list[OverLink]]:
    """The live stream, the same stream cut short, the streams of other questions, a row per strategy and link."""
    await show.warm_up()
    with DraftDisplay(quiet=arguments.json, keep=True) as display:
        note(arguments, f"\n{printable(show.question)}  (the whole stream over {printable(show.link.name)})")
        drafts = await show.stream(display.on_draft, display.on_progress)
        note(arguments, "\nthe same stream, cut after its first bytes:")
        cuts = await show.cuts(drafts[-1].payload_bytes, display.on_draft)
        others = []
        for question in questions:
            note(arguments, f"\n{printable(question)}")
            others.append(await replace(show, question=question).stream(display.on_draft, display.on_progress))
    found = [await _over(arguments, replace(show, link=link)) for link in links]
    return drafts, cuts, others, found


async def _over(arguments: argparse.Namespace, show: Show) -> OverLink:
    """Every strategy over one link."""
    from heliograph.cli.demo.show import demo_settings
    from heliograph.cli.demo.table import OverLink

    link = show.link
    note(arguments, f"\nevery strategy on the same photo and question over {printable(link.name)} ...")
    rows = []
    for name, setting in demo_settings(show.device.input_size, show.device.bundle.codec_kinds):
        rows.append(await show.row(name, setting, arguments.repeat))
        note(arguments, f"  {rows[-1].label}")
    return OverLink(link.name, link.up_bit_s, tuple(rows))


def _draw(
    arguments: argparse.Namespace, found: Sequence[OverLink], photo: Path, question: str, path: Path
) -> list[Path]:
    try:
        from heliograph.cli.demo.picture import draw

        draw(found, photo, question, path)
    except (MissingExtraError, ModuleNotFoundError):  # matplotlib or the bench is not installed
        note(arguments, f"no picture: {MissingExtraError('bench')}")
        return []
    return [path]


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Start a cloud in a process of its own, join it over a real websocket through a shaped link, send one photo\n"
        "as a progressive stream with drafts, then run every strategy over a thin and a quick link and print a table.\n"
        "Writes demo.json and demo.png. An exchange of more than 5 s is not repeated."
    ),
    examples=("heliograph demo", "heliograph demo --link 5kbit,600ms --out runs/satellite"),
)
