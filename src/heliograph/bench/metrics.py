"""What the figures mean, as code: right answers, agreement, B99. ``docs/metrics.md`` says the same."""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Sequence

from heliograph.types import QuestionRecord

B99_SHARE = 0.99
ALL = "all"

SLACK = 0.01
"""A setting stays where no cheaper one beats it by more than this: the tuning photos are few, and a setting that
chance put just below the frontier may be the best on the test photos."""

_WORD_CATEGORIES = "LNM"  # letters, numbers, marks

Point = tuple[float, float]
"""(mean cost, quality 0..1) of one setting; the cost is payload bytes, or milliseconds to the final answer."""


def normal_form(text: str) -> str:
    """Lower case, punctuation and repeated spaces removed: what two answers are compared by.

    Letters, digits and the marks on them stay, of every script; equal ones that are composed in another way are made
    equal (NFC).
    """
    lower = unicodedata.normalize("NFC", text.casefold())
    return " ".join("".join(c if unicodedata.category(c)[0] in _WORD_CATEGORIES else " " for c in lower).split())


def score(record: QuestionRecord, answer: str) -> float:
    """1 for a right answer, 0 for a wrong one; for ``description`` the F1 of its words, 0 to 1."""
    if record.task == "description":
        return max(word_f1(wanted, answer) for wanted in (record.answer, *record.accepted))
    given = normal_form(answer)
    return float(any(given == normal_form(wanted) for wanted in (record.answer, *record.accepted)))


def word_f1(wanted: str, given: str) -> float:
    """Harmonic mean of precision and recall of the words, counting repetitions (as in SQuAD)."""
    wanted_words, given_words = normal_form(wanted).split(), normal_form(given).split()
    if not wanted_words or not given_words:
        return float(wanted_words == given_words)
    common = sum(min(wanted_words.count(w), given_words.count(w)) for w in set(wanted_words))
    return 2 * common / (len(wanted_words) + len(given_words))


def agrees(answer: str, uncompressed: str) -> float:
    """1 where an answer equals the same model's answer on the uncompressed path, else 0."""
    return float(normal_form(answer) == normal_form(uncompressed))


def envelope(points: Sequence[Point]) -> list[Point]:
    """The monotone envelope of measured settings: by cost, only those better than every cheaper one."""
    kept: list[Point] = []
    for cost, quality in sorted(points, key=lambda p: (p[0], -p[1])):
        if not kept or quality > kept[-1][1]:
            kept.append((cost, quality))
    return kept


def cost_at(points: Sequence[Point], target: float) -> float | None:
    """Cost at which the envelope reaches ``target``: linear in quality against log cost between its settings.

    Nothing is extrapolated: where the cheapest setting reaches the target already, its cost is the answer; where
    no setting reaches it, the answer is None.
    """
    before: Point | None = None
    for cost, quality in envelope(points):
        if quality >= target:
            if before is None or before[0] <= 0:
                return cost
            share = (target - before[1]) / (quality - before[1])
            return math.exp(math.log(before[0]) + share * (math.log(cost) - math.log(before[0])))
        before = (cost, quality)
    return None


def b99(points: Sequence[Point], uncompressed_accuracy: float) -> float | None:
    """Mean payload bytes at which a strategy keeps 99 % of the uncompressed accuracy.

    None where it never does, and where the model is never right (everything would keep that).
    """
    if uncompressed_accuracy <= 0:
        return None
    return cost_at(points, B99_SHARE * uncompressed_accuracy)


def near_frontier(points: Sequence[Point], slack: float = SLACK) -> list[int]:
    """Indices of settings, cheapest first, that no cheaper one beats by more than ``slack``.

    Settings that only the slack keeps are at least 5 % dearer than the one before, and nothing is kept that costs more
    than twice what the best quality costs: neither a cluster nor a plateau of equal settings fills the tables.
    """
    kept: list[int] = []
    best, best_cost = -math.inf, math.inf
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        cost, quality = points[index]
        if quality > best:
            kept.append(index)
            best, best_cost = quality, cost
        elif quality >= best - slack and 1.05 * points[kept[-1]][0] <= cost <= 2 * best_cost:
            kept.append(index)
    return kept


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Up to ``wanted`` prefix lengths spread evenly over 1..count, ending with count."""
    return sorted({max(1, round(count * (k + 1) / wanted)) for k in range(wanted)}) if count else []


def largest_fall(qualities: Sequence[float]) -> float:
    """The largest loss of quality from one prefix to the next, 0 where it never falls."""
    return max([0.0, *(a - b for a, b in itertools.pairwise(qualities))])
