"""``heliograph demo``: a cloud process, a thin link, one photo, and every strategy on it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.command import EXIT_DONE, Command, note, positive_int, say, seconds
from heliograph.cli.files import make_folder, write_file
from heliograph.cli.live import DraftDisplay
from heliograph.cli.model_note import is_reference_model, note_model
from heliograph.cli.options.photo import add_bundle_option, open_bundle, photo_named
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import json_text, printable, shortened, table
from heliograph.errors import MissingExtraError
from heliograph.reference.assets import DEMO_QUESTION, demo_photo_path
from heliograph.serving.child import CloudProcess

if TYPE_CHECKING:
    from heliograph.cli.demo.show import Row, Show
    from heliograph.edge.report import Draft

DEFAULT_LINK = "1mbit,50ms"
_MAX_SHOWN = 60


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("runs/demo"), help="folder for its files (default: runs/demo)"
    )
    parser.add_argument(
        "--link", metavar="LINK", default=DEFAULT_LINK, help=f"rate, round trip, or a trace (default: {DEFAULT_LINK})"
    )
    parser.add_argument(
        "--photo",
        metavar="PHOTO",
        type=Path,
        help="photo to use instead of the shipped one; heliograph samples writes a few",
    )
    parser.add_argument("--question", metavar="TEXT", default=DEMO_QUESTION, help=f"(default: {DEMO_QUESTION!r})")
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
    from heliograph.edge.device import Device
    from heliograph.transport.links import parse_link

    link = parse_link(arguments.link)
    photo = arguments.photo or demo_photo_path()
    device = Device(open_bundle(arguments.bundle))
    out = make_folder(arguments.out)
    note(arguments, f"starting a cloud with the model {printable(arguments.model)} ...")
    model_note = note_model(arguments, is_reference=is_reference_model(arguments.model, device.bundle))
    with photo_named(photo), CloudProcess(arguments.model, arguments.bundle) as cloud:
        show = Show(cloud.url, device, photo, arguments.question, link, arguments.timeout)
        drafts, cuts, rows = asyncio.run(_perform(arguments, show))
    facts = {
        "link": arguments.link,
        "question": arguments.question,
        "source": "measured",
        "repetitions": arguments.repeat,
        "stream": [asdict(draft) for draft in drafts],
        "cuts": [asdict(cut) for cut in cuts],
        "rows": [asdict(row) for row in rows],
        **model_note,
    }
    write_file(out / "demo.json", (json_text(facts) + "\n").encode())
    written = [out / "demo.json", *_draw(arguments, rows, photo, out / "demo.png")]
    text = "\n" + rows_table(rows) + "\n\nwritten: " + ", ".join(printable(str(path)) for path in written)
    say(arguments, text, facts)
    return EXIT_DONE


async def _perform(arguments: argparse.Namespace, show: Show) -> tuple[tuple[Draft, ...], tuple[Draft, ...], list[Row]]:
    """The live stream, the same stream cut short, then a row per strategy and setting."""
    from heliograph.cli.demo.show import demo_settings

    await show.warm_up()
    with DraftDisplay(quiet=arguments.json, keep=True) as display:
        note(arguments, f"\n{printable(show.question)}  (the whole stream over {printable(arguments.link)})")
        drafts = await show.stream(display.on_draft, display.on_progress)
        note(arguments, "\nthe same stream, cut after its first bytes:")
        cuts = await show.cuts(drafts[-1].payload_bytes, display.on_draft)
    note(arguments, f"\nevery strategy on the same photo, question and link, {arguments.repeat} times each ...")
    rows = []
    for name, setting in demo_settings(show.device.input_size, show.device.bundle.codec_kinds):
        rows.append(await show.row(name, setting, arguments.repeat))
        note(arguments, f"  {rows[-1].label}")
    return drafts, cuts, rows


def _draw(arguments: argparse.Namespace, rows: Sequence[Row], photo: Path, path: Path) -> list[Path]:
    try:
        from heliograph.cli.demo.picture import draw

        draw(rows, photo, arguments.question, arguments.link, path)
    except ModuleNotFoundError:
        note(arguments, f"no picture: {MissingExtraError('bench')}")
        return []
    return [path]


def rows_table(rows: Sequence[Row]) -> str:
    """The rows as people read them, in the order they were run."""
    head = ["strategy", "payload B", "wire B", "encode ms", "draft ms", "final ms", "sure", "answer"]
    body = []
    for row in rows:
        if row.error is not None:
            body.append([row.label, *[""] * 6, f"failed: {row.error}"])
            continue
        figures = [f"{row.payload_bytes:,}", f"{row.wire_bytes:,}"]
        figures += [f"{ms:,.0f}" for ms in (row.encode_ms, row.draft_ms, row.final_ms)]
        body.append([row.label, *figures, f"{row.confidence:.0%}", shortened(printable(row.answer), _answer_width())])
    return table(head, body, left=(0, 7))


def _answer_width() -> int:
    """Answers are cut on a terminal; a file gets them whole."""
    return _MAX_SHOWN if sys.stdout.isatty() else 10_000


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Start a cloud in a process of its own, join it over a real websocket through a shaped link, send one photo\n"
        "as a progressive stream with drafts, then run every strategy and print one table. Writes demo.json, demo.png."
    ),
    examples=("heliograph demo", "heliograph demo --link 20kbit,200ms --out runs/thin"),
)
