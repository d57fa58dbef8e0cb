"""Measured times: a sample of exchanges over a real websocket through a shaped link, wall time.

Per strategy one setting is run, the cheapest that keeps 99 % of the uncompressed accuracy (the best one where none
does), on a connection that is open. The device encodes and the cloud answers as they always do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.definitions import Link, ReferencePlan, standard_links
from heliograph.bench.metrics import ALL, B99_SHARE, agrees, score
from heliograph.bench.results import Row
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.scores import Scores
from heliograph.bench.stats import Interval, clustered_mean_interval
from heliograph.bench.tasks import Item
from heliograph.bench.tools import Bench
from heliograph.edge.client import DeviceClient
from heliograph.edge.report import AskReport
from heliograph.question import FIXED, NO_LIMIT, Question
from heliograph.strategies.base import Setting, label
from heliograph.strategies.selection import LOCAL
from heliograph.training.progress import Progress
from heliograph.transport.base import Connection
from heliograph.transport.shaped import open_shaped
from heliograph.transport.websocket_client import open_websocket

TIMEOUT_S = 300.0
LONGEST_CARRIAGE_S = 10.0
"""A setting whose payload alone takes longer on a link is not run over it (rgb at 20 kbit/s: 26 s)."""


@dataclass(frozen=True)
class _Asked:
    """One measured exchange: its report, whether the answer was right and whether it agrees; and what opening the
    connection had cost before, in bytes."""

    report: AskReport
    right: float
    agrees: float
    opening_bytes: int


def opening_bytes(url: str) -> int:
    """Bytes on the TCP stream, both directions, until a websocket is open: the HTTP upgrade."""

    async def opened() -> int:
        connection = await open_websocket(url)
        try:
            return connection.sent_bytes + connection.received_bytes
        finally:
            await connection.close()

    return asyncio.run(opened())


def measured_rows(
    url: str,
    bench: Bench,
    plan: ReferencePlan,
    scores: Sequence[Scores],
    uncompressed: Scores,
    items: Sequence[Item],
    progress: Progress,
) -> list[Row]:
    """One row per link and strategy that sends something.

    Args:
        url: of a cloud with the bench's model and bundle.
        bench: the device.
        plan: links and number of questions.
        scores, uncompressed: of the whole run, for choosing settings.
        items: where the questions are taken from.
        progress: shows a bar.
    """
    links = [link for link in standard_links() if link.name in plan.socket_links]
    sample = [item for item in items if item.records][: plan.socket_questions]
    if not sample:
        return []
    chosen = cheapest_good_settings(scores, uncompressed)
    runs = [
        (link, one.outcome.candidate.strategy, one.outcome.candidate.setting)
        for link in links
        for one in chosen.values()
        if carriage_s(one, link) <= LONGEST_CARRIAGE_S
    ]
    return [
        _row(link, strategy, setting, asyncio.run(_ask_all(url, bench, link, strategy, setting, sample)))
        for link, strategy, setting in progress.over(runs, "over the socket")
    ]


def cheapest_good_settings(scores: Sequence[Scores], uncompressed: Scores) -> dict[str, Scores]:
    """Each strategy's cheapest setting with 99 % of the uncompressed accuracy, else its most accurate one."""
    target = B99_SHARE * uncompressed.accuracy().value
    chosen: dict[str, tuple[tuple[bool, float], Scores]] = {}
    for one in scores:
        strategy, accuracy = one.outcome.candidate.strategy, one.accuracy().value
        reached = accuracy >= target
        rank = (not reached, one.payload.value if reached else -accuracy)
        if strategy != LOCAL and (strategy not in chosen or rank < chosen[strategy][0]):
            chosen[strategy] = rank, one
    return {strategy: one for strategy, (_, one) in chosen.items()}


def carriage_s(scores: Scores, link: Link) -> float:
    """Seconds that the mean payload takes at the link's rate."""
    return 8 * scores.payload.value / (link.mbit * 1e6)


async def _ask_all(
    url: str, bench: Bench, link: Link, strategy: str, setting: Setting, sample: Sequence[Item]
) -> list[_Asked]:
    async def connect() -> Connection:
        return await open_shaped(lambda: open_websocket(url), link.profile)

    async def ask(client: DeviceClient, item: Item) -> AskReport:
        photo = item.photo.copy()  # another object, so that the device does not take it for one the cloud holds
        return await client.ask(
            photo,
            Question(item.records[0].question, FIXED, NO_LIMIT, max_answer_tokens=SHORT_ANSWER_TOKENS),
            strategy=strategy,
            setting=setting,
            timeout_s=TIMEOUT_S,
        )

    async with DeviceClient(connect, bench.device.device) as client:
        opening = await ask(client, sample[0])  # opens the connection; times are for one that is open
        reports = [await ask(client, item) for item in sample]
    opening_bytes = opening.wire_bytes - reports[0].wire_bytes  # the same photo and question, asked twice
    return [_judged(bench, item, report, opening_bytes) for item, report in zip(sample, reports, strict=True)]


def _judged(bench: Bench, item: Item, report: AskReport, opening_bytes: int) -> _Asked:
    record = item.records[0]
    wanted = bench.model.answer(record.question, [item.photo], max_new_tokens=SHORT_ANSWER_TOKENS).text
    return _Asked(report, score(record, report.answer), agrees(report.answer, wanted), opening_bytes)


def _row(link: Link, strategy: str, setting: Setting, asked: Sequence[_Asked]) -> Row:
    reports = [a.report for a in asked]
    return Row(
        strategy,
        label(setting),
        ALL,
        len(asked),
        *_mean([a.right for a in asked]),
        *_mean([a.agrees for a in asked]),
        *_mean([float(r.payload_bytes) for r in reports]),
        *_mean([float(a.report.wire_bytes + a.opening_bytes) for a in asked]),
        *_mean([r.encode_ms for r in reports]),
        None,
        None,
        link.mbit,
        link.rtt_ms,
        *_mean([r.first_draft_ms for r in reports]),
        *_mean([r.final_ms for r in reports]),
        source="measured",
    )


def _mean(values: Sequence[float]) -> tuple[float, Interval | None]:
    return float(np.mean(values)), clustered_mean_interval(values, [str(i) for i in range(len(values))])
