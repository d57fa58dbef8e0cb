"""The stop policies of the suite ``loop``, simulated on collected answers.

``fixed``
    stops at a byte budget.
``energy``
    stops at a share of retained token energy.
``level``
    stops at the level, the same for every photo, at which the bundle expects a share of answers to be those of the
    uncompressed photo.
``min-entropy``, ``entropy``, ``margin``, ``error-head``, ``stability``, ``combined``
    stop where a calibration says that the rest would not help, at what was chosen on dev scenes for a wanted quality.
``combined-agrees``
    the combination by its chance of the uncompressed answer, as a threshold on a confidence is usually meant.
``min-entropy-fixed``
    a threshold on the bits themselves, uncalibrated, as arXiv 2512.16349 has it.
``oracle``
    stops at the shortest prefix whose answer is the whole stream's: it knows what nobody knows in time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heliograph.bench.loop.curves import Stopped
from heliograph.bench.stats import DoubleArray
from heliograph.codec.calibration import COMBINED, CONFIDENCES, Calibration
from heliograph.training.calibration.stopping import DraftTable, at, stops

FIXED, ENERGY, LEVEL, ORACLE = "fixed", "energy", "level", "oracle"
BY_CHANCE, BY_BITS = "combined-agrees", "min-entropy-fixed"
POLICIES = (FIXED, ENERGY, LEVEL, *CONFIDENCES, BY_CHANCE, BY_BITS, ORACLE)

QUALITIES = (0.5, 0.6, 0.7, 0.76, 0.8, 0.84, 0.86, 0.88, 0.9, 0.91, 0.92, 0.925, 0.93, 0.935, 0.94, 0.945, 0.95)
WHOLE = "whole stream"
_WITHOUT_DRAFTS = (FIXED, ENERGY, LEVEL, "error-head")  # these look at no answer: one is made, at the end
_BUDGET_STEP = 8
_SHARES = np.concatenate([np.linspace(0.05, 0.5, 7), np.linspace(0.52, 1, 33)])  # finer where it matters
_TARGETS = np.round(np.concatenate([np.arange(0.3, 0.8, 0.05), np.arange(0.8, 1, 0.005)]), 3)
_BITS = np.geomspace(0.002, 4, 25)[::-1]

Setting = tuple[str, float]


def simulate(policy: str, table: DraftTable, calibration: Calibration) -> list[Stopped]:
    """A policy at all of its settings, and at the end of the stream.

    Args:
        policy: one of ``POLICIES``.
        table: the drafts that are made.
        calibration: fitted on other scenes.
    """
    if policy == ORACLE:
        answer = table.column(table.answers.answer)
        return [_stopped(policy, "final answer", table, (answer == answer[:, -1:]).astype(np.float64), 1.0)]
    scores = _scores(policy, table, calibration)
    settings = [*_settings(policy, table, calibration), (WHOLE, np.inf)]
    return [_stopped(policy, name, table, scores, threshold) for name, threshold in settings]


def _scores(policy: str, table: DraftTable, calibration: Calibration) -> DoubleArray:
    """(Q, P') of what the policy waits for."""
    if policy == FIXED:
        return table.column(table.answers.payload_bytes)
    if policy == ENERGY:
        return table.column(table.answers.retained_energy)
    if policy == LEVEL:
        return np.nan_to_num(table.column(table.answers.level_agreement))
    if policy == BY_BITS:
        return -table.column(table.answers.min_entropy_bits)
    if policy == BY_CHANCE:
        return table.scores(calibration.agrees[COMBINED])
    return table.scores((calibration.settled or calibration.agrees)[policy])


def _settings(policy: str, table: DraftTable, calibration: Calibration) -> Iterator[Setting]:
    """Names and thresholds; none of them looks at the answers that are judged."""
    if policy == FIXED:
        longest = int(table.answers.payload_bytes.max())
        yield from ((f"bytes={size}", float(size)) for size in range(_BUDGET_STEP, longest, _BUDGET_STEP))
    elif policy == ENERGY:
        yield from ((f"share={share:.3f}", float(share)) for share in _SHARES)
    elif policy == LEVEL:
        reached = table.answers.level_agreement
        least, most = np.nanmin(reached, initial=1), np.nanmax(reached, initial=0)  # nothing lies between where none is
        within = [share for share in _TARGETS if least < share <= most]
        yield from ((f"target={share:.3f}", float(share)) for share in within)
    elif policy == BY_BITS:
        yield from ((f"bits={bits:.3g}", -float(bits)) for bits in _BITS)
    else:
        name = COMBINED if policy == BY_CHANCE else policy
        steps = calibration.thresholds if policy == BY_CHANCE or not calibration.settled else None
        known = calibration.settled_thresholds if steps is None else steps
        best = known[name][-1][0] if known.get(name) else 0.0
        for quality in QUALITIES:
            if quality <= best:
                qualities, chances = zip(*known[name], strict=True)
                yield f"quality={quality:g}", float(np.interp(quality, qualities, chances))


def _stopped(policy: str, name: str, table: DraftTable, scores: DoubleArray, threshold: float) -> Stopped:
    places = stops(scores, threshold)
    answers = table.answers
    return Stopped(
        name,
        at(table.column(answers.payload_bytes), places),
        at(table.column(answers.right), places),
        at(table.column(answers.agrees), places),
        np.ones(len(places)) if policy in _WITHOUT_DRAFTS else np.asarray(places + 1, dtype=np.float64),
    )
