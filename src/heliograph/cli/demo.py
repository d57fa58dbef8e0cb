"""``heliograph demo``: a cloud process, a thin link, one photo, and every strategy on it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.cli.command import EXIT_DONE, Command, note, say, seconds
from heliograph.cli.demo_cloud import CloudProcess
from heliograph.cli.files import make_folder, write_file
from heliograph.cli.live import DraftDisplay
from heliograph.cli.photo_options import add_bundle_option, open_bundle
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import json_text, printable, shortened, table
from heliograph.errors import HeliographError, MissingExtraError
from heliograph.reference.assets import DEMO_QUESTION, demo_photo_path
from heliograph.registry import STRATEGIES

if TYPE_CHECKING:
    from heliograph.edge.device import Device
    from heliograph.edge.report import AskReport, Draft
    from heliograph.strategies.base import Setting
    from heliograph.transport.links import LinkProfile

DEFAULT_LINK = "1mbit,50ms"
_WHOLE_STREAM: dict[str, Any] = {"controller": "fixed", "target": 0}
_PICTURES = ("jpeg", "webp", "avif")
_SMALL_QUALITY = 50
_MOST_SHOWN = 60


@dataclass(frozen=True)
class Row:
    """One strategy's exchange on a fresh connection; all figures measured.

    Attributes:
        strategy, setting: what was run; ``label`` is both in one word.
        payload_bytes: header and segments.
        wire_bytes: everything on the connection in both directions, its handshake included.
        encode_ms: loading and encoding the photo.
        draft_ms, final_ms: from the question to the first draft and to the final answer, opening included.
        error: name of what went wrong, else None.
    """

    strategy: str
    setting: str
    payload_bytes: int = 0
    wire_bytes: int = 0
    encode_ms: float = 0.0
    draft_ms: float = 0.0
    final_ms: float = 0.0
    answer: str = ""
    confidence: float = 0.0
    error: str | None = None

    @property
    def label(self) -> str:
        """``webp size=128,quality=50``; the name alone where there are no knobs."""
        return self.strategy if self.setting == "default" else f"{self.strategy} {self.setting}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("runs/demo"),
        help="for demo.json and demo.png (default: runs/demo)",
    )
    parser.add_argument(
        "--link",
        metavar="LINK",
        default=DEFAULT_LINK,
        help=f"rate and round trip, or a trace file (default: {DEFAULT_LINK})",
    )
    parser.add_argument("--photo", metavar="PHOTO", type=Path, help="another photo than the shipped one")
    parser.add_argument("--question", metavar="TEXT", default=DEMO_QUESTION, help=f"(default: {DEMO_QUESTION!r})")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=120.0, help="for one strategy (default: 120)"
    )
    add_model_option(parser)
    add_bundle_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.edge.device import Device
    from heliograph.transport.links import parse_link

    link = parse_link(arguments.link)
    photo = arguments.photo or demo_photo_path()
    device = Device(open_bundle(arguments.bundle))
    out = make_folder(arguments.out)
    note(arguments, f"starting a cloud with the model {printable(arguments.model)} ...")
    with CloudProcess(arguments.model, arguments.bundle) as cloud:
        show = Show(arguments, cloud.url, device, photo, link)
        drafts, rows = asyncio.run(show.run())
    facts = {
        "link": arguments.link,
        "question": arguments.question,
        "source": "measured",
        "stream": [asdict(draft) for draft in drafts],
        "rows": [asdict(row) for row in rows],
    }
    write_file(out / "demo.json", (json_text(facts) + "\n").encode())
    written = [out / "demo.json", *_draw(arguments, rows, photo, out / "demo.png")]
    text = "\n" + rows_table(rows) + "\n\nwritten: " + ", ".join(printable(str(path)) for path in written)
    say(arguments, text, facts)
    return EXIT_DONE


def _draw(arguments: argparse.Namespace, rows: Sequence[Row], photo: Path, path: Path) -> list[Path]:
    try:
        from heliograph.cli.demo_picture import draw

        draw(rows, photo, arguments.question, arguments.link, path)
    except ModuleNotFoundError:
        note(arguments, f"no picture: {MissingExtraError('bench')}")
        return []
    return [path]


class Show:
    """The exchanges of one demo against one cloud."""

    def __init__(self, arguments: argparse.Namespace, url: str, device: Device, photo: Path, link: LinkProfile) -> None:
        self._arguments, self._url, self._device, self._photo, self._link = arguments, url, device, photo, link

    async def run(self) -> tuple[tuple[Draft, ...], list[Row]]:
        """The live stream, then a row per strategy and setting."""
        await self._warm_up()
        drafts = await self._stream()
        note(self._arguments, "\nevery strategy on the same photo, question and link ...")
        return drafts, [await self._row(name, setting) for name, setting in demo_settings(self._device.input_size)]

    async def _warm_up(self) -> None:
        """One unmeasured exchange of each kind, so that loading engines is not counted as anybody's time."""
        for strategy in ("klt", "jpeg", "local"):
            try:
                await self._ask(strategy, {}, None, **_WHOLE_STREAM)
            except HeliographError:
                continue  # its row will say what is wrong

    async def _stream(self) -> tuple[Draft, ...]:
        """The whole progressive stream with every draft shown; the last entry is the final answer."""
        from heliograph.edge.report import Draft

        arguments = self._arguments
        note(arguments, f"\n{printable(arguments.question)}  (over {printable(arguments.link)}, the whole klt stream)")
        with DraftDisplay(quiet=arguments.json, keep=True) as display:
            report = await self._ask("klt", {}, self._link, display, **_WHOLE_STREAM)
            final = Draft(report.final_ms, report.payload_bytes, report.confidence, report.answer)
            display.on_draft(final)
        return (*report.drafts, final)

    async def _row(self, strategy: str, setting: Setting) -> Row:
        from heliograph.strategies.base import label

        note(self._arguments, f"  {strategy} {label(setting)}")
        try:
            report = await self._ask(strategy, setting, self._link)
        except HeliographError as error:
            return Row(strategy, label(setting), error=error.name)
        return Row(
            strategy,
            label(setting),
            report.payload_bytes,
            report.wire_bytes,
            report.encode_ms,
            report.first_draft_ms,
            report.final_ms,
            report.answer,
            report.confidence,
        )

    async def _ask(
        self,
        strategy: str,
        setting: Setting,
        link: LinkProfile | None,
        display: DraftDisplay | None = None,
        **stop: Any,
    ) -> AskReport:
        from heliograph.cli.links import connection_opener
        from heliograph.edge.client import DeviceClient

        async with DeviceClient(connection_opener(self._url, link=link), self._device) as client:
            return await client.ask(
                self._photo,
                self._arguments.question,
                strategy=strategy,
                setting=setting,
                deadline_s=self._arguments.timeout,
                on_draft=display.on_draft if display else None,
                **stop,
            )


def demo_settings(input_size: int) -> list[tuple[str, Setting]]:
    """Every strategy at its default; pictures also at the side that the model looks at."""
    chosen: list[tuple[str, Setting]] = []
    for name in STRATEGIES.names():
        chosen.append((name, dict(STRATEGIES.load(name).default_setting)))
        if name in _PICTURES:
            chosen.append((name, {"size": input_size, "quality": _SMALL_QUALITY}))
    return chosen


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
    return _MOST_SHOWN if sys.stdout.isatty() else 10_000


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Start a cloud in a process of its own, join it over a real websocket through a shaped link, send one photo\n"
        "as a progressive stream with drafts, then run every strategy and print one table. Writes demo.json, demo.png."
    ),
    examples=("heliograph demo", "heliograph demo --link 20kbit,200ms --out runs/thin"),
)
