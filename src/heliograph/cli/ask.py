"""``heliograph ask``: a question about a photo, answered by a cloud, or by the device with ``--strategy local``."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heliograph.cli.answers import say_answer
from heliograph.cli.command import EXIT_DONE, Command, note, seconds
from heliograph.cli.links import add_connection_options, opener_of, retry_notes
from heliograph.cli.live import DraftDisplay
from heliograph.cli.model_note import note_model, reference_answered
from heliograph.cli.options.key import add_key_option, first_key
from heliograph.cli.options.photo import add_photo_options, choose_setting, open_device, photo_named
from heliograph.cli.options.stopping import QUESTION_LENGTH, add_length_option, add_stop_options, question_from
from heliograph.cli.options.trace import DEVICE, add_trace_options, trace_sink
from heliograph.cli.planning import add_planning_options, ask_by_plan, is_planned, plan_data
from heliograph.cli.text import byte_count, milliseconds
from heliograph.config import SERVER_VARIABLE
from heliograph.question import DEFAULT_TIMEOUT_S, Question

if TYPE_CHECKING:
    from heliograph.edge.device import Device
    from heliograph.edge.report import AskReport
    from heliograph.strategies.base import Setting
    from heliograph.tracing.table import TraceSink


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_photo_options(parser)
    parser.add_argument("question", metavar="QUESTION", help=QUESTION_LENGTH)
    parser.add_argument(
        "--server",
        metavar="URL",
        help=f"ws://host:port or wss://host:port (default: ${SERVER_VARIABLE}, else the one that heliograph pair has "
        "paired this device with, else ws://127.0.0.1:8765)",
    )
    add_stop_options(parser)
    add_planning_options(parser)
    parser.add_argument(
        "--link",
        metavar="LINK",
        help="imitate a link: 1mbit,50ms (rate, round trip) or a trace file",
    )
    add_connection_options(parser)
    add_key_option(parser, "key shared with the server, in hex: authenticates question, photo and answer")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=DEFAULT_TIMEOUT_S,
        help=f"time limit of the whole exchange (default: {DEFAULT_TIMEOUT_S:g})",
    )
    add_length_option(parser)
    add_trace_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    run = _run_planned if is_planned(arguments) else _run_told
    with photo_named(arguments.photo), trace_sink(arguments, DEVICE) as trace:
        return run(arguments, trace)


def _run_told(arguments: argparse.Namespace, trace: TraceSink | None) -> int:
    question = question_from(arguments)
    strategy, device = open_device(arguments.bundle, arguments.strategy)
    setting = choose_setting(arguments, strategy, device)
    with DraftDisplay(quiet=arguments.json) as display:
        report = asyncio.run(_ask(arguments, device, question, (strategy.name, setting), display, trace))
    facts = report_data(report) | note_model(arguments, is_reference=reference_answered(report, device))
    _note_report(arguments, report)
    say_answer(arguments, report.answer, facts, photo_seen=report.photo_seen)
    return EXIT_DONE


def _run_planned(arguments: argparse.Namespace, trace: TraceSink | None) -> int:
    _, device = open_device(arguments.bundle, arguments.strategy)
    with DraftDisplay(quiet=arguments.json) as display:
        opener, token = opener_of(arguments)
        planned = asyncio.run(ask_by_plan(arguments, device, opener, token, display, trace))
    for line in planned.decisions[1:] if arguments.explain else ():
        note(arguments, line)
    report = planned.report
    facts = report_data(report) | note_model(arguments, is_reference=reference_answered(report, device))
    _note_report(arguments, report)
    facts |= {"plan": plan_data(planned)} if arguments.explain else {}
    say_answer(arguments, report.answer, facts, photo_seen=report.photo_seen)
    return EXIT_DONE


def _note_report(arguments: argparse.Namespace, report: AskReport) -> None:
    """What a user should know of the photo, and what the answer cost."""
    for line in (*report.photo_notes, summary(report)):
        note(arguments, line)


async def _ask(
    arguments: argparse.Namespace,
    device: Device,
    question: Question,
    chosen: tuple[str, Setting],
    display: DraftDisplay,
    trace: TraceSink | None,
) -> AskReport:
    from heliograph.edge.client import DeviceClient

    opener, token = opener_of(arguments)
    async with DeviceClient(
        opener, device, token, key=first_key(arguments), on_retry=retry_notes(arguments), trace=trace
    ) as client:
        return await client.ask(
            arguments.photo,
            question,
            strategy=chosen[0],
            setting=chosen[1],
            timeout_s=arguments.timeout,
            on_draft=display.on_draft,
            on_progress=display.on_progress,
        )


def summary(report: AskReport) -> str:
    """One line on what the answer cost."""
    return (
        f"{report.strategy}: {byte_count(report.payload_bytes)} payload, "
        f"{byte_count(report.wire_bytes_up)} up, {byte_count(report.wire_bytes_down)} down, "
        f"{milliseconds(report.final_ms)}, confidence {report.confidence:.0%}"
        + (", stopped early" if report.stopped_early else "")
        + _remarks(report)
    )


def _remarks(report: AskReport) -> str:
    """What the cloud said about the answer, and what happened on the way."""
    remarks = (
        (report.looked, "looked at a region"),
        (report.region_missed, "a region did not arrive"),
        (report.controller_failed, "the controller failed: answered from what had arrived"),
        (report.reconnections > 0, f"went on over {report.reconnections} further connection(s)"),
    )
    return "".join(f", {text}" for true, text in remarks if true)


def report_data(report: AskReport) -> dict[str, Any]:
    """The report as JSON values."""
    return {**asdict(report), "wire_bytes": report.wire_bytes}


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Ask a cloud about a photo. The question goes first, then the photo as a stream that stops as soon as the\n"
        "cloud has enough. Drafts appear on standard error while it runs; the answer is on standard output."
    ),
    examples=(
        'heliograph ask photo.jpg "what is on the sign?"',
        'heliograph ask photo.jpg "how many stars?" --link 20kbit,200ms --budget 96',
        'heliograph ask photo.jpg "which color is the heart?" --strategy webp --setting size=96,quality=40 --json',
        'heliograph ask photo.jpg "describe the picture." --strategy local',
        'heliograph ask photo.jpg "what is on the sign?" --trace device.trace',
        'heliograph ask photo.jpg "what does the small sign say?" --quality 0.95 --deadline 2s --explain',
    ),
)
