"""``heliograph trace``: what happened in an exchange, from the files that ``--trace`` wrote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.cli.command import EXIT_DONE, Command, note, say, whole_number
from heliograph.cli.options.photo import add_bundle_option, bundle_of_model, open_bundle
from heliograph.cli.serve import add_model_option
from heliograph.cli.text import printable, shortened
from heliograph.errors import UsageError

if TYPE_CHECKING:
    from heliograph.tracing.merging import Merged
    from heliograph.tracing.reading import Trace
    from heliograph.tracing.replaying import Replay

_MAX_SHOWN = 200


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="trace of a device or a cloud")
    parser.add_argument(
        "other", metavar="FILE2", type=Path, nargs="?", help="trace of the other end, put in one order with the first"
    )
    parser.add_argument("--plot", metavar="PICTURE", type=Path, help="draw the ladder into a .png or .svg file")
    parser.add_argument(
        "--replay", action="store_true", help="answer a question of FILE again, with --vlm and --bundle, and compare"
    )
    parser.add_argument(
        "--question",
        metavar="N",
        type=whole_number,
        help="number of the question to replay (default: the last one answered)",
    )
    parser.add_argument(
        "--session", metavar="N", type=whole_number, help="only this session of FILE, as a cloud's trace counts them"
    )
    add_model_option(parser)
    add_bundle_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    from heliograph.cli.trace.ladder import ladder
    from heliograph.tracing.merging import merged
    from heliograph.tracing.reading import of_session, read_trace

    if arguments.question is not None and not arguments.replay:
        raise UsageError().noted("--question needs --replay.")
    traces = [of_session(read_trace(arguments.file), arguments.session)]
    if arguments.other is not None:
        traces.append(read_trace(arguments.other))
    together = merged(*traces)
    for trace in traces:
        _note_gaps(arguments, trace)
    if arguments.plot is not None:
        from heliograph.cli.trace.picture import draw

        draw(together, arguments.plot)
    facts = summary(traces, together)
    if not arguments.replay:
        say(arguments, ladder(together), facts)
        return EXIT_DONE
    found = _replayed(arguments, traces[0])
    say(arguments, replay_text(found), facts | {"replay": replay_data(found)})
    return EXIT_DONE


def _note_gaps(arguments: argparse.Namespace, trace: Trace) -> None:
    if trace.begins_late:
        note(arguments, f"the {trace.vantage_point}'s trace began in an earlier file, which is gone")
    if trace.cut:
        note(arguments, f"the {trace.vantage_point}'s trace ends within a line, which is left out")


def _replayed(arguments: argparse.Namespace, trace: Trace) -> Replay:
    from heliograph.reference.assets import shipped_bundle_folder
    from heliograph.serving.opening import load_cloud, with_bundle
    from heliograph.tracing.replaying import replay
    from heliograph.vlm.checkpoint.loading import REFERENCE
    from heliograph.vlm.opening import open_model

    bundle = bundle_of_model(arguments)
    if bundle is None:
        cloud = load_cloud(arguments.model, shipped_bundle_folder() if arguments.model == REFERENCE else None)
    else:
        cloud = with_bundle(open_model(arguments.model), arguments.model, open_bundle(bundle))
    return replay(trace, cloud, arguments.question)


# ---- in words and numbers ------------------------------------------------------------------------------
def replay_text(found: Replay) -> str:
    """The two answers, and what they were made from."""
    asked = shortened(printable(found.question.text or ""), _MAX_SHOWN)
    lines = [
        f"question  {found.question.question_id}: {asked}",
        f"prefix    {found.prefix.strategy}, {len(found.prefix.segments)} segments, {found.prefix.payload_bytes:,} B"
        + (f", and a region of {found.crop.payload_bytes:,} B" if found.crop is not None else ""),
        f"traced    {shortened(printable(found.recorded), _MAX_SHOWN)}",
        f"replayed  {shortened(printable(found.answer.text), _MAX_SHOWN)} (confidence {found.answer.confidence:.0%})",
    ]
    verdict = "the same answer" if found.same else "ANOTHER answer"
    if found.same_tokens is not None:
        verdict += ", the same tokens" if found.same_tokens else ", other tokens"
    return "\n".join([*lines, f"          {verdict}" + ("" if found.same_model else ", from a model of another name")])


def replay_data(found: Replay) -> dict[str, Any]:
    """A replay as JSON values."""
    return {
        "question_id": found.question.question_id,
        "session": found.question.session,
        "strategy": found.prefix.strategy,
        "segments": len(found.prefix.segments),
        "payload_bytes": found.prefix.payload_bytes,
        "recorded": found.recorded,
        "answer": found.answer.text,
        "confidence": found.answer.confidence,
        "same": found.same,
        "same_tokens": found.same_tokens,
        "same_model": found.same_model,
    }


def summary(traces: list[Trace], together: Merged) -> dict[str, Any]:
    """What is in the traces, as JSON values."""
    return {
        "traces": [
            {
                "vantage_point": trace.vantage_point,
                "program": trace.header["program"],
                "reference_time": trace.header["reference_time"],
                "events": len(trace.events),
                "content": trace.header["content"],
                "cut": trace.cut,
                "begins_late": trace.begins_late,
                "frames": _frames(trace),
                "questions": _questions(trace),
            }
            for trace in traces
        ],
        "connections": {str(ours): theirs for ours, theirs in together.connections.items()},
        "offset_ms": round(together.offset_ms, 3),
        "uncertainty_ms": None if together.uncertainty_ms is None else round(together.uncertainty_ms, 3),
    }


def _frames(trace: Trace) -> dict[str, dict[str, int]]:
    """How many frames of each type went and came, and their bytes and payload bytes."""
    from heliograph.tracing.exchanges import FRAME_EVENTS
    from heliograph.tracing.table import FRAME_SENT

    found: dict[str, dict[str, int]] = {}
    for event in trace.events:
        if event.name in FRAME_EVENTS:
            key = f"{event.data.get('frame')} {'sent' if event.name == FRAME_SENT else 'received'}"
            counts = found.setdefault(key, {"frames": 0, "bytes": 0, "payload_bytes": 0})
            counts["frames"] += 1
            for name in ("bytes", "payload_bytes"):
                counts[name] += event.data.get(name) or 0
    return found


def _questions(trace: Trace) -> list[dict[str, Any]]:
    from heliograph.tracing.exchanges import questions_of

    return [
        {
            "session": one.session,
            "question_id": one.question_id,
            "question": one.text,
            "strategy": one.photo.strategy if one.photo is not None else None,
            "controller": one.fields.get("controller"),
            "target": one.fields.get("target"),
            "drafts": len(one.drafts),
            "decisions": one.decisions,
            "answer": one.final.text if one.final is not None else None,
            "confidence": one.final.confidence if one.final is not None else None,
            "segments_used": one.final.segments_used if one.final is not None else None,
            "payload_bytes": one.photo.payload_bytes(one.final.segments_used) if one.photo and one.final else None,
            "final_ms": round(one.final.time_ms - one.asked_ms, 3) if one.final is not None else None,
            "error": one.error,
        }
        for one in questions_of(trace)
    ]


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Draw an exchange as a ladder: device, link and cloud, time downwards, from the trace of one end or of both.\n"
        "With --replay the final answer is made again from the very bytes that it was made from, and compared. A\n"
        "trace holds photos, questions and answers, unless it was written with --trace-without-content."
    ),
    examples=(
        "heliograph trace device.trace",
        "heliograph trace device.trace cloud.trace --plot exchange.svg",
        "heliograph trace cloud.trace --replay --question 3 --json",
    ),
)
