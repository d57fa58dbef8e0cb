"""Rows, tables and figures of suite ``second-look``, with settings chosen on the other half of the photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heliograph.bench.metrics import ALL, near_frontier
from heliograph.bench.results import Figure, Row, Table
from heliograph.bench.second_look.plan import SecondLookPlan
from heliograph.bench.second_look.policies import (
    Cases,
    Outcome,
    full_size,
    other_crops,
    text_crops,
    whole_photos,
)
from heliograph.bench.second_look.questions import Asked, Kind
from heliograph.bench.stats import Interval

READABLE = "readable at full size"
"""Of all questions, those whose answer is legible in the photo's own file."""

LARGE = 1024
"""Longest edge of the opponent: nearly every photo's own."""

WITHIN_POINTS = 2.0
SLACK = 0.01  # an opponent's setting is good enough within so much of the best one's share
BYTES_BOUNDS = (0.35, 0.2)

CHOSEN = "chosen on the other half"
RATIO_FIGURE = "bytes of text crops / whole photo at 1024 px, legible within 2 points of it"

Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Played:
    """Every way of sending.

    Attributes:
        full: the photo's own file.
        wholes: whole photos.
        texts: crops around text, every setting and budget.
        others: one crop, by contrast, by chance and of the true place.
        opponent, ours: whole photos at 1024 pixels and text crops, at settings chosen on the other half.
    """

    full: Outcome
    wholes: tuple[Outcome, ...]
    texts: tuple[Outcome, ...]
    others: tuple[Outcome, ...]
    opponent: Outcome
    ours: Outcome

    @property
    def shown(self) -> tuple[Outcome, ...]:
        """For the tables: of text crops those that no cheaper setting beats, and the choices."""
        points = [(float(one.payload_bytes.mean()), float(one.legible.mean())) for one in self.texts]
        texts = [self.texts[place] for place in near_frontier(points)]
        return (*self.wholes, *texts, *self.others, self.opponent, self.ours, self.full)


def played(cases: Cases, plan: SecondLookPlan) -> Played:
    """Plays everything on the same questions."""
    wholes, texts = whole_photos(cases, plan), list(text_crops(cases, plan))
    large = [one for one, sent in zip(wholes, (plan.first, *plan.whole), strict=True) if sent.size == LARGE]
    opponent = crossed(large, cases.half, cheapest_good)
    ours = crossed(texts, cases.half, lambda tried, half: cheapest_within(tried, half, large))
    return Played(full_size(cases), tuple(wholes), tuple(texts), tuple(other_crops(cases, plan)), opponent, ours)


def crossed(tried: Sequence[Outcome], half: Chosen, choose: Callable[[Sequence[Outcome], Chosen], Outcome]) -> Outcome:
    """Each half at the setting that was chosen on the other one.

    Args:
        tried: settings of one way.
        half: (Q,) true for the questions of one half.
        choose: the best of them, by the questions of a half alone.
    """
    if half.all() or not half.any():  # one photo: there is no other half
        return choose(tried, np.ones_like(half))
    for_half, for_rest = choose(tried, ~half), choose(tried, half)
    settings = dict.fromkeys((for_half.setting, for_rest.setting))
    return for_half.where(half, for_rest, f"{CHOSEN}: {'; '.join(settings)}")


def cheapest_good(tried: Sequence[Outcome], half: Chosen) -> Outcome:
    """The setting of fewest bytes within a point of the best share."""
    best = max(_share(one, half) for one in tried)
    return min((one for one in tried if _share(one, half) >= best - SLACK), key=lambda one: _payload(one, half))


def cheapest_within(tried: Sequence[Outcome], half: Chosen, opponents: Sequence[Outcome]) -> Outcome:
    """The setting of fewest bytes within two points of the opponent's chosen one; where none is, the best share's."""
    least = _share(cheapest_good(opponents, half), half) - WITHIN_POINTS / 100
    within = [one for one in tried if _share(one, half) >= least]
    if within:
        return min(within, key=lambda one: _payload(one, half))
    return max(tried, key=lambda one: (_share(one, half), -_payload(one, half)))


def figures_of(cases: Cases, ways: Played) -> tuple[Figure, ...]:
    """The project's own mark, and what stands beside it."""
    ours, opponent = ways.ours, ways.opponent
    points, points_interval = cases.mean(ours.legible - opponent.legible)
    ratio, ratio_interval = cases.ratio(ours.payload_bytes, opponent.payload_bytes)
    near = 100 * points >= -WITHIN_POINTS
    contrast, chance, true = ways.others
    small = ways.wholes[1]
    found = [
        Figure(RATIO_FIGURE, ratio if near else None, ratio_interval if near else None, *BYTES_BOUNDS),
        Figure("the same, wherever it ends", ratio, ratio_interval),
        Figure(
            "legible share, text crops minus whole photo at 1024 px, points",
            *_percents((points, points_interval)),
            must=-WITHIN_POINTS,
            at_least=True,
        ),
        Figure(
            "wire bytes of the same / of the whole photo",
            *cases.ratio(ours.wire_bytes, opponent.wire_bytes),
            source="modelled",
        ),
        *_beside(cases, "whole photo at 448 px", small, opponent),
        *_beside(cases, "crop of the true place", true, opponent),
        Figure("legible share, contrast minus random crop, points", *_gain(cases, contrast, chance)),
        Figure("legible share, random crop minus first stage alone, points", *_gain(cases, chance, ways.wholes[0])),
        Figure("answers legible at full size, % of all questions", *_percents(cases.mean(ways.full.legible))),
        Figure("answers found in another photo's text, %", *_percents(cases.mean(cases.by_chance()))),
    ]
    return tuple(found)


def rows_of(cases: Cases, ways: Played) -> tuple[Row, ...]:
    """A row per way and setting: all questions, and those whose answer is legible at full size."""
    readable = ways.full.legible > 0
    found = []
    for one in ways.shown:
        for task, chosen in ((ALL, np.ones_like(readable)), (READABLE, readable)):
            if not chosen.any():
                continue
            share, share_interval = cases.mean(one.legible, chosen)
            payload, payload_interval = cases.mean(one.payload_bytes, chosen)
            wire, wire_interval = cases.mean(one.wire_bytes, chosen)
            found.append(
                Row(
                    strategy=one.name,
                    setting=one.setting,
                    task=task,
                    questions=int(chosen.sum()),
                    accuracy=share,
                    accuracy_ci=share_interval,
                    payload_bytes=payload,
                    payload_bytes_ci=payload_interval,
                    wire_bytes=wire,
                    wire_bytes_ci=wire_interval,
                    source="modelled",  # as are wire bytes, by the messages of an exchange
                )
            )
    return tuple(found)


def times_table(ways: Played) -> Table:
    """What device and reader compute."""
    body = [
        (one.name, one.setting, f"{np.median(one.device_ms):.0f}", f"{np.median(one.read_ms):.0f}")
        for one in (*ways.wholes, *_unbounded(ways.texts), *ways.others)
    ]
    head = ("way", "setting", "device: find and encode", "cloud: read")
    return Table("Processor time of a photo, medians over questions, ms", head, tuple(body))


def questions_table(asked: Sequence[Asked], ways: Played) -> Table:
    """What was asked, and what is left out."""
    kinds = [(kind.value, str(sum(one.kind is kind for one in asked))) for kind in Kind]
    readable = int(ways.full.legible.sum())
    return Table(
        "Questions", ("answer", "questions"), (*kinds, ("of the first kind, legible at full size", str(readable)))
    )


def _beside(cases: Cases, text: str, one: Outcome, opponent: Outcome) -> list[Figure]:
    ratio = cases.ratio(one.payload_bytes, opponent.payload_bytes)
    return [
        Figure(f"legible share, {text} minus whole photo at 1024 px, points", *_gain(cases, one, opponent)),
        Figure(f"bytes of {text} / of the whole photo at 1024 px", *ratio),
    ]


def _gain(cases: Cases, one: Outcome, other: Outcome) -> tuple[float, Interval | None]:
    return _percents(cases.mean(one.legible - other.legible))


def _unbounded(texts: Sequence[Outcome]) -> list[Outcome]:
    return [one for one in texts if "budget=" not in one.setting]


def _share(one: Outcome, half: Chosen) -> float:
    return float(one.legible[half].mean())


def _payload(one: Outcome, half: Chosen) -> float:
    return float(one.payload_bytes[half].mean())


def _percents(found: tuple[float, Interval | None]) -> tuple[float, Interval | None]:
    value, interval = found
    return 100 * value, interval and (100 * interval[0], 100 * interval[1])
