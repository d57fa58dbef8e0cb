"""What cannot be beaten: oracles that know the trace's future, and more.

``oracle`` knows everything: when every candidate's answer would arrive and whether it would be good. It takes the
choices that need the least time together and give as many good answers as the planner gave, on the same questions:
equal quality is meant to the last answer. ``foresight`` knows when every candidate's answer would arrive and how good
each candidate is on average for each kind of question on these very questions, but not the answers; it follows the
planner's rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heliograph.bench.planner.replay import Array, CandidateTable, Moment
from heliograph.controllers.planner import Goal

Places = npt.NDArray[np.int64]


def oracle(moments: Sequence[Moment], candidates: CandidateTable, good_answers: float) -> Places:
    """(moments,) columns: least time together with at least ``good_answers`` good ones, or as many as there can be.

    Each question starts with its quickest candidate; the cheapest changes to a good candidate follow until there are
    enough. That is the least sum of times, since each question needs at most one change and they do not depend on each
    other.
    """
    times = np.array([m.times_s for m in moments])  # (moments, candidates)
    good = np.array([candidates.good[m.question] for m in moments])  # (moments, candidates)
    chosen: Places = times.argmin(axis=1)
    best_good = np.where(good > 0, times, np.inf)
    better = best_good.argmin(axis=1)
    rows = np.arange(len(moments))
    extra = best_good[rows, better] - times[rows, chosen]
    reached = float(good[rows, chosen].sum())
    for row in np.argsort(extra, kind="stable"):
        if reached >= good_answers or not np.isfinite(extra[row]):
            break
        if good[row, chosen[row]] == 0:
            chosen[row] = better[row]
            reached += 1
    return chosen


def foresight(moments: Sequence[Moment], candidates: CandidateTable, goal: Goal) -> Places:
    """(moments,) columns by the planner's rule, with true times and true mean qualities by kind."""
    means = {task: candidates.good[candidates.tasks == task].mean(axis=0) for task in sorted(set(candidates.tasks))}
    return np.array([by_rule(m.times_s, means[str(candidates.tasks[m.question])], goal) for m in moments])


def by_rule(times_s: Array, quality: Array, goal: Goal) -> int:
    """The planner's rule on known times and qualities, (candidates,) each."""
    timely = times_s <= (np.inf if goal.answer_within_s is None else goal.answer_within_s)
    reaching = timely & (quality >= goal.quality - 1e-9)
    if reaching.any():
        return int(np.where(reaching, times_s, np.inf).argmin())
    if timely.any():
        best = quality[timely].max()
        return int(np.where(timely & (quality == best), times_s, np.inf).argmin())
    return int(times_s.argmin())
