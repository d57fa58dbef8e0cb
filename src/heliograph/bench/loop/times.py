"""``push`` against ``pull`` in time: one stream, sent at link speed or chunk by chunk on request.

Both are decided by the error head with one target. ``pull`` looks at the ends of four chunks. ``push`` is timed twice:

- *same prefix*: it stops where ``pull`` stopped, so every answer, and the accuracy, is the same by construction;
- *own stop*: it stops by itself at the first segment that reaches the target, which the device foresees, because it
  holds the error head too; its accuracy stands beside ``pull``'s.

Messages are those of real sessions, work is measured in processor time, the link is modelled
(:mod:`heliograph.bench.exchange_model`), and a sample runs over a real websocket through a shaped link.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.exchange_model import Work, exchange_messages, exchange_times, pull_messages, pull_times
from heliograph.bench.loop.cases import STRATEGY, Case, Ends, chunks_sent, make_cases, measured_work
from heliograph.bench.metrics import score
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.stats import Interval, clustered_mean_interval
from heliograph.bench.tasks import scene_items
from heliograph.bench.tools import Bench, open_bench, warmed_up
from heliograph.controllers.base import share_code
from heliograph.controllers.pull import CHUNKS
from heliograph.edge.client import DeviceClient
from heliograph.edge.report import AskReport
from heliograph.question import FIXED, NO_LIMIT, PULL, Question
from heliograph.strategies.base import Setting
from heliograph.transport.base import Connection
from heliograph.transport.links import LinkProfile, parse_link
from heliograph.transport.shaped import open_shaped
from heliograph.transport.websocket_client import open_websocket
from heliograph.types import Reporter

LINKS = ("20kbit,100ms", "1mbit,100ms")
QUALITIES = (0.8, 0.9, 0.95, 0.99)
QUALITY = 0.95
"""The target of the figure that counts, ``ask``'s default."""

TEST_START, QUESTIONS = 8_100_000, 300


@dataclass(frozen=True)
class TimesRow:
    """One policy at one target on one link. Times in ms from the question, on a connection that is open."""

    link: str
    quality: float
    policy: str
    questions: int
    median_final_ms: float
    p90_final_ms: float
    median_draft_ms: float
    accuracy: float
    payload_bytes: float
    chunks: float | None
    source: str


# ---- times ---------------------------------------------------------------------------------------------
def final_times(
    cases: Sequence[Case], ends: Sequence[int], work: Work, profile: LinkProfile, policy: str, target: int
) -> tuple[list[float], list[float]]:
    """Seconds to the first draft and to the final answer of every case.

    Args:
        cases: questions.
        ends: segments that the answer is made from.
        work: measured.
        profile: the link.
        policy: ``push``, ``pull``, or ``pull, first chunk asked for``.
        target: of the controller.
    """
    made = []
    for case, end in zip(cases, ends, strict=True):
        question, answer = case.record.question, case.answers[end]
        if policy == "push":
            messages = exchange_messages(case.encoded.prefix(end), question, answer)
            made.append(exchange_times(messages, work, profile, embedded=True))
        else:
            chunks = chunks_sent(case.encoded, end)
            pulled = pull_messages(case.encoded, question, answer, target, chunks)
            made.append(pull_times(pulled, work, profile, first_is_asked_for=policy != "pull"))
    return [t.draft_s for t in made], [t.final_s for t in made]


POLICIES = (
    ("pull", "pull", "pull"),
    ("pull, first chunk asked for", "pull, first chunk asked for", "pull"),
    ("push, same prefix", "push", "pull"),
    ("push, own stop", "push", "push"),
)
"""Name of a row, how it is timed, and whose ends it has."""


def modelled_rows(cases: Sequence[Case], ends: Sequence[Ends], work: Work) -> tuple[list[TimesRow], dict[str, Any]]:
    """A row per link, target and policy; and every final time in ms, for the distribution."""
    rows, curves = list[TimesRow](), dict[str, Any]()
    for link in LINKS:
        profile = parse_link(link)
        for one in ends:
            for name, timed_as, whose in POLICIES:
                where = one.pull if whose == "pull" else one.push
                drafts, finals = final_times(cases, where, work, profile, timed_as, share_code(one.quality))
                rows.append(_row(link, one.quality, name, cases, where, drafts, finals))
                curves[f"{link}|{one.quality}|{name}"] = [round(1e3 * s, 2) for s in finals]
    return rows, curves


def _row(
    link: str,
    quality: float,
    name: str,
    cases: Sequence[Case],
    ends: Sequence[int],
    drafts: Sequence[float],
    finals: Sequence[float],
) -> TimesRow:
    right = [score(case.record, case.answers[end].text) for case, end in zip(cases, ends, strict=True)]
    payload = [case.encoded.prefix(end).payload_bytes for case, end in zip(cases, ends, strict=True)]
    pulled = name.startswith("pull")
    chunks = [chunks_sent(case.encoded, end) for case, end in zip(cases, ends, strict=True)] if pulled else None
    return TimesRow(
        link,
        quality,
        name,
        len(cases),
        1e3 * float(np.median(finals)),
        1e3 * float(np.percentile(finals, 90)),
        1e3 * float(np.median(drafts)),
        float(np.mean(right)),
        float(np.mean(payload)),
        None if chunks is None else float(np.mean(chunks)),
        "modelled",
    )


def figures(rows: Sequence[TimesRow], cases: Sequence[Case], ends: Sequence[Ends]) -> dict[str, Any]:
    """Median time of ``push`` over that of ``pull`` on the worse link, for each target; must 0.7, aim 0.5."""
    found: dict[str, Any] = {"must": 0.7, "aim": 0.5, "chunks": CHUNKS}
    for one in ends:
        for push in ("push, same prefix", "push, own stop"):
            for pull in ("pull", "pull, first chunk asked for"):
                ratios = {
                    link: _median(rows, link, one.quality, push) / _median(rows, link, one.quality, pull)
                    for link in LINKS
                }
                found[f"{push} / {pull}, quality {one.quality}"] = {"worse": max(ratios.values()), **ratios}
        gap, interval = _accuracy_gap(cases, one)
        found[f"accuracy of push, own stop, less pull's, quality {one.quality}"] = {"value": gap, "interval": interval}
    return found


def _median(rows: Sequence[TimesRow], link: str, quality: float, policy: str) -> float:
    return next(r.median_final_ms for r in rows if (r.link, r.quality, r.policy) == (link, quality, policy))


def _accuracy_gap(cases: Sequence[Case], ends: Ends) -> tuple[float, Interval | None]:
    gaps = [
        score(case.record, case.answers[push].text) - score(case.record, case.answers[pull].text)
        for case, push, pull in zip(cases, ends.push, ends.pull, strict=True)
    ]
    return float(np.mean(gaps)), clustered_mean_interval(gaps, [case.item.image_id for case in cases])


# ---- a sample over a real websocket --------------------------------------------------------------------
def socket_rows(url: str, bench: Bench, cases: Sequence[Case], ends: Ends) -> list[TimesRow]:
    """Wall times of both policies through a shaped link; ``push`` ends on the same prefix.

    Args:
        url: of a cloud with the bench's model and bundle.
        bench: the device.
        cases: the sample, with ``ends`` of the same cases.
        ends: for one target.
    """
    rows = []
    for link in LINKS:
        for name in ("pull", "push, same prefix"):
            reports = asyncio.run(_ask_all(url, bench, parse_link(link), cases, ends, name))
            finals = [report.final_ms / 1e3 for report in reports]
            drafts = [report.first_draft_ms / 1e3 for report in reports]
            row = _row(link, ends.quality, name, cases, ends.pull, drafts, finals)
            right = [score(case.record, r.answer) for case, r in zip(cases, reports, strict=True)]
            payload = float(np.mean([r.payload_bytes for r in reports]))
            rows.append(
                TimesRow(
                    **(
                        asdict(row)
                        | {"source": "measured", "accuracy": float(np.mean(right)), "payload_bytes": payload}
                    )
                )
            )
    return rows


async def _ask_all(
    url: str, bench: Bench, profile: LinkProfile, cases: Sequence[Case], ends: Ends, policy: str
) -> list[AskReport]:
    async def connect() -> Connection:
        return await open_shaped(lambda: open_websocket(url), profile)

    async def ask(client: DeviceClient, case: Case, end: int) -> AskReport:
        asked = Question(case.record.question, FIXED, NO_LIMIT, max_answer_tokens=SHORT_ANSWER_TOKENS)
        setting: Setting = {"max_bytes": case.encoded.prefix(end).payload_bytes}
        if policy == PULL:
            asked, setting = replace(asked, controller=PULL, target=share_code(ends.quality)), {}
        photo = case.item.photo.copy()  # another object, so that the device does not take it for one the cloud holds
        return await client.ask(photo, asked, strategy=STRATEGY, setting=setting)

    async with DeviceClient(connect, bench.device.device) as client:
        await ask(client, cases[0], ends.pull[0])  # opens the connection; times are for one that is open
        return [await ask(client, case, end) for case, end in zip(cases, ends.pull, strict=True)]


# ---- command -------------------------------------------------------------------------------------------
def run_loop_times(
    bench: Bench,
    *,
    seed_start: int = TEST_START,
    questions: int = QUESTIONS,
    socket_questions: int = 0,
    say: Reporter = lambda text: None,
) -> dict[str, Any]:
    """Everything, as JSON values: ``rows``, ``figures``, ``final_ms`` per link, target and policy, ``work_ms``."""
    cases, ends = make_cases(bench, seed_start, questions, QUALITIES, say)
    work = measured_work(bench, cases)
    rows, curves = modelled_rows(cases, ends, work)
    result: dict[str, Any] = {
        "questions": len(cases),
        "seed_start": seed_start,
        "calibrated": bench.bundle.calibration is not None,
        "work_ms": {name: 1e3 * value for name, value in asdict(work).items()},
        "figures": figures(rows, cases, ends),
        "rows": [asdict(row) for row in rows],
        "final_ms": curves,
    }
    if socket_questions:
        result["socket"] = _socket_check(bench, cases[:socket_questions], _cut(ends, socket_questions), work)
    return result


def _cut(ends: Sequence[Ends], count: int) -> Ends:
    one = next(e for e in ends if e.quality == QUALITY)
    return Ends(one.quality, one.pull[:count], one.push[:count])


def _socket_check(bench: Bench, cases: Sequence[Case], ends: Ends, work: Work) -> dict[str, Any]:
    """The model against wall time, on the same questions."""
    from heliograph.serving.cloud import Cloud
    from heliograph.serving.web.application import CloudApplication
    from heliograph.serving.web.runner import BackgroundServer

    modelled = [row for row in modelled_rows(cases, [ends], work)[0] if row.policy in ("pull", "push, same prefix")]
    bundle = bench.bundle  # its calibration decides over the socket as it does in the model
    cloud = Cloud(bench.model, bundle.codecs, bundle.hash, bundle.calibration)
    with BackgroundServer(CloudApplication(cloud)) as server:
        measured = socket_rows(server.url, bench, cases, ends)
    compared = [asdict(row) for pair in zip(modelled, measured, strict=True) for row in pair]
    return {"questions": len(cases), "rows": compared}


def print_table(result: dict[str, Any]) -> None:
    """Rows and figures for people."""
    print(
        f"{result['questions']} questions, calibrated: {result['calibrated']}, work in ms: "
        + ", ".join(f"{name} {value:.1f}" for name, value in result["work_ms"].items())
    )
    print("link | quality | policy | median final ms | p90 | accuracy | payload B | chunks | source")
    for row in (*result["rows"], *result.get("socket", {}).get("rows", [])):
        chunks = "" if row["chunks"] is None else f"{row['chunks']:.2f}"
        print(
            f"{row['link']} | {row['quality']} | {row['policy']} | {row['median_final_ms']:.1f} | "
            f"{row['p90_final_ms']:.1f} | {row['accuracy']:.4f} | {row['payload_bytes']:.1f} | {chunks} | "
            f"{row['source']}"
        )
    for name, value in result["figures"].items():
        print(f"{name}: {value}")


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m heliograph.bench.loop.times OUT.json [--plot OUT.png]``."""
    from heliograph.codec.bundle import Bundle
    from heliograph.reference.assets import shipped_bundle_folder
    from heliograph.vlm.model import VisionLanguageModel

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--socket-questions", type=int, default=24)
    parser.add_argument("--seed-start", type=int, default=TEST_START)
    given = parser.parse_args(arguments)
    bench = open_bench(VisionLanguageModel.load("reference"), Bundle.load(shipped_bundle_folder()))
    warmed_up(bench, [next(iter(scene_items(given.seed_start, 1, descriptions=False))).photo])
    result = run_loop_times(
        bench,
        seed_start=given.seed_start,
        questions=given.questions,
        socket_questions=given.socket_questions,
        say=print,
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print_table(result)
    if given.plot is not None:
        from heliograph.bench.loop.times_plot import draw_time_to_final

        draw_time_to_final(result, given.plot)


if __name__ == "__main__":
    main()
