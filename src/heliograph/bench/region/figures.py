"""Rows, tables and figures of suite ``region``, from policies played on trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heliograph.bench.definitions import standard_links
from heliograph.bench.metrics import ALL
from heliograph.bench.region.policies import Chance, Played, Questions, play, spoiled
from heliograph.bench.region.trials import SMALL_PRINT, CropTrial
from heliograph.bench.results import Figure, Row, Table
from heliograph.bench.stats import Interval
from heliograph.boxes import PixelBox
from heliograph.controllers.region.calibrated import Calibrated
from heliograph.controllers.region.policies import Price, least_chance
from heliograph.training.calibration.region_choice import Tried

GAIN_BOUNDS, BYTES_BOUNDS, HIT_BOUNDS = (35.0, 45.0), (0.7, 0.5), (80.0, 92.0)  # must, aim
WITHIN_POINTS = 1.0
_MAX_TRIED = 12


@dataclass(frozen=True)
class Plays:
    """The policies that figures compare."""

    never: Played
    always: Played
    calibrated: Played
    every: tuple[Played, ...]


def rows_of(questions: Questions, plays: Sequence[Played]) -> tuple[Row, ...]:
    """A row per policy and task, and one for all questions together."""
    found = []
    for played in plays:
        payload = played.first_bytes + played.second_bytes
        for task in (None, *questions.tasks):
            accuracy, interval = questions.mean(played.right, task)
            size, size_interval = questions.mean(payload, task)
            found.append(
                Row(
                    strategy=played.name,
                    setting=played.setting or "default",
                    task=task or ALL,
                    questions=questions.count(task),
                    accuracy=accuracy,
                    accuracy_ci=interval,
                    payload_bytes=size,
                    payload_bytes_ci=size_interval,
                )
            )
    return tuple(found)


def figures_of(questions: Questions, plays: Plays) -> tuple[Figure, ...]:
    """The project's own marks, and what stands beside them."""
    never, always, ours = plays.never, plays.always, plays.calibrated
    gain = _percents(questions.mean(ours.right - never.right, SMALL_PRINT))
    lost_small = _percents(questions.mean(always.right - ours.right, SMALL_PRINT))
    lost = _percents(questions.mean(always.right - ours.right))
    share, share_interval = questions.ratio(ours.second_bytes, always.second_bytes)
    near = max(lost_small[0], lost[0]) <= WITHIN_POINTS
    return (
        Figure("small-print accuracy, calibrated minus global only, points", *gain, *GAIN_BOUNDS, at_least=True),
        Figure(
            "extra bytes of calibrated / always looking again, within 1 point of its accuracy",
            share if near else None,
            share_interval if near else None,
            *BYTES_BOUNDS,
        ),
        Figure("points of small-print accuracy lost against always looking again", *lost_small),
        Figure("points of accuracy over all questions lost against always looking again", *lost),
        Figure(
            "found box holds the plate asked for, % of small-print questions",
            *_percents(questions.mean(questions.hits(), SMALL_PRINT)),
            *HIT_BOUNDS,
            at_least=True,
        ),
        Figure(
            "right first answers that the second alone would spoil, always looking, % of all questions",
            *_percents(questions.mean(spoiled(never, always))),
        ),
        Figure(
            "right first answers that keeping the surer one still spoils, always looking, % of all questions",
            *_percents(questions.mean(never.right * (1 - always.right))),
        ),
        Figure(
            "right first answers that keeping the surer one still spoils, calibrated, % of all questions",
            *_percents(questions.mean(never.right * (1 - ours.right))),
        ),
    )


def policies_table(questions: Questions, plays: Sequence[Played]) -> Table:
    """One line per policy; hits among the small print that was looked at."""
    head = (
        "policy",
        "setting",
        "accuracy, all questions %",
        "small-print %",
        "looks %",
        "first-stage bytes",
        "second-stage bytes",
        "bytes a look",
        "spoiled %",
    )
    body = []
    for played in plays:
        looks = float(played.looked.sum())
        body.append(
            (
                played.name,
                played.setting or "default",
                _percent(questions.mean(played.right)[0]),
                _percent(questions.mean(played.right, SMALL_PRINT)[0]),
                _percent(questions.mean(played.looked)[0]),
                f"{questions.mean(played.first_bytes)[0]:.1f}",
                f"{questions.mean(played.second_bytes)[0]:.1f}",
                f"{played.second_bytes.sum() / looks:.0f}" if looks else "",
                _percent(questions.mean(spoiled(plays[0], played))[0], 2),
            )
        )
    return Table("Policies: means over questions, a photo's first stage shared by its questions", head, tuple(body))


def hits_table(questions: Questions) -> Table:
    """How often the found box holds the region a question is about, and how large regions are."""
    body = []
    for task in questions.tasks:
        chosen = [t for t in questions.trials if t.record.task == task and t.record.box is not None]
        if not chosen:
            continue
        inside = [_contains_centre(t.found.box, t.record.box) for t in chosen if t.record.box is not None]
        contrast = np.mean([t.found.contrast for t in chosen])
        hits = np.mean([bool(t.hit) for t in chosen])
        body.append(
            (task, str(len(chosen)), _percent(float(hits)), _percent(float(np.mean(inside))), f"{contrast:.2f}")
        )
    head = ("task", "n", "box holds the whole region %", "box holds its centre %", "contrast")
    return Table(
        "Found boxes, every question that names one thing (objects are up to 156 pixels wide, boxes 128)",
        head,
        tuple(body),
    )


def prices_table(questions: Questions, calibrated: Calibrated, chance: Chance, region_bytes: int) -> Table:
    """The calibrated policy's limit as links get slower, budgets smaller and looks fewer."""
    prices = [(link.name, Price(link.mbit * 1e6, link.rtt_ms / 1000, region_bytes)) for link in standard_links()]
    slow = Price(2_000.0, 1.0, region_bytes)
    prices.append(("2 kbit/s, 1 s", slow))
    for budget in (8 * region_bytes, 2 * region_bytes, region_bytes - 1):
        prices.append((f"free link, {budget} bytes left for the question", Price(0.0, 0.0, region_bytes, budget)))
    prices.append(("2 kbit/s, 1 s, 24 of 32 looks used", Price(2_000.0, 1.0, region_bytes, None, 24, 32)))
    body = []
    for name, price in prices:
        played = play(calibrated, questions.trials, chance, price=price)
        body.append(
            (
                name,
                f"{min(calibrated.most, least_chance(price)):.3f}",
                _percent(questions.mean(played.looked)[0]),
                _percent(questions.mean(played.right, SMALL_PRINT)[0]),
                _percent(questions.mean(played.right)[0]),
                f"{questions.mean(played.second_bytes)[0]:.1f}",
            )
        )
    head = (
        "link, budget, looks",
        "looks below chance",
        "looks %",
        "small-print %",
        "all questions %",
        "second-stage bytes",
    )
    return Table("The calibrated limit and what a look costs", head, tuple(body))


def encodings_table(tried: Sequence[CropTrial], chosen: CropTrial) -> Table:
    """Crops as pixels and as tokens, on dev."""
    body = [
        (
            one.encoding.strategy,
            one.encoding.setting,
            str(one.plates),
            f"{one.payload_bytes:.0f}",
            _percent(one.accuracy),
            "chosen" if one.encoding == chosen.encoding else "",
        )
        for one in sorted(tried, key=lambda one: one.payload_bytes)
    ]
    head = ("strategy", "setting", "plates", "bytes", "small-print %", "")
    return Table("How a crop travels (dev, boxes that hold the plate)", head, tuple(body))


def settings_table(tried: Sequence[Tried]) -> Table:
    """The best settings, and each layer's best, on dev."""
    best: dict[tuple[int, bool], Tried] = {}
    for one in tried:
        best.setdefault((one.setting.layer, bool(one.setting.own)), one)
    shown = [*tried[:_MAX_TRIED], *(one for one in best.values() if one not in tried[:_MAX_TRIED])]
    body = [
        (
            str(one.setting.layer),
            "exponents" if one.setting.own else "mean of heads",
            str(one.setting.prompt_rows),
            one.setting.generic_question or "none",
            f"{one.setting.floor:g}",
            ", ".join(f"{share:g}" for share in one.setting.windows),
            "" if one.hit_rate is None else _percent(one.hit_rate),
            f"{one.contrast:.3f}",
        )
        for one in shown
    ]
    head = ("layer", "map", "prompt positions", "generic prompt", "floor", "windows", "hit rate %", "contrast")
    return Table(
        "Where to read attention (dev; exponents judged on the half they were not fitted on)", head, tuple(body)
    )


def _contains_centre(box: PixelBox, region: PixelBox) -> bool:
    x, y = (region.left + region.right) / 2, (region.top + region.bottom) / 2
    return box.left <= x < box.right and box.top <= y < box.bottom


def _percents(found: tuple[float, Interval | None]) -> tuple[float, Interval | None]:
    value, interval = found
    return 100 * value, interval and (100 * interval[0], 100 * interval[1])


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"
