"""The planner's curves from what a suite measured, and the command that measures and stores them.

``python -m heliograph.bench.planner.curves BUNDLE`` measures every candidate of the suite ``planner`` on calibration
scenes (never those of a suite), writes ``curves.json`` beside the bundle's codecs and names it in the manifest; the
bundle's hash, which both ends compare, stays as it is. ``--result results.json`` takes the rows of a finished suite
instead.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.metrics import ALL
from heliograph.bench.outcomes import Outcome
from heliograph.bench.planner.measure import DETAIL_TASK, Measured, local_answer_ms, measure
from heliograph.bench.planner.plan import PlannerPlan, RegionCandidate, planner_plan
from heliograph.bench.results import Provenance, Row
from heliograph.bench.tasks import scene_items
from heliograph.bench.tools import open_bench, warmed_up
from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import CURVES
from heliograph.controllers.curves import Curve, Curves, Origin, Point, made_monotone
from heliograph.controllers.question_kind import QuestionKinds
from heliograph.errors import FileUnreadableError, UsageError
from heliograph.reasons import FileFault
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Kind, Setting, parse_setting
from heliograph.strategies.selection import LOCAL, strategies_with, strategy_class
from heliograph.training.progress import Progress
from heliograph.vlm.model import VisionLanguageModel

USUAL_ANSWER_MS = {"tokens": 20.0, "picture": 33.0, "region": 40.0, "local": 20.0}
"""The reference model's times, where a suite's result does not say: medians of suite ``planner``'s machine."""

_SHOWN = 0.5
"""What a planner chooses from; the other strategies of the suites are opponents that it never should take."""


def curves_of(
    result: Mapping[str, Any],
    *,
    strategies: Collection[str] | None = None,
    monotone: bool = True,
    answer_ms: Mapping[str, float] | None = None,
    kinds: QuestionKinds | None = None,
    regions: Mapping[tuple[str, str], tuple[float, float]] | None = None,
) -> Curves:
    """Curves from the JSON of a suite's result (``results.json``).

    Rows without a link count, a task's row for questions of that kind. Quality is agreement; for a kind that the
    uncompressed path itself mostly gets wrong (small print), it is accuracy. A row whose strategy is
    ``FIRST+CROP`` and whose setting is ``SETTING+SETTING`` is a photo with a region behind it.

    Args:
        result: as ``SuiteResult.to_json`` gives it.
        strategies: whose rows count; None for streams that any prefix of answers, tuned pictures and local answers.
        monotone: whether qualities are made never to fall; without, points stay as they were measured.
        answer_ms: by what an answer is made from; see ``USUAL_ANSWER_MS``.
        kinds: to tell what kind of question is asked.
        regions: bytes and encoding milliseconds of regions, by strategy and setting of their rows.

    Raises:
        UsageError: no rows to make a curve of.
    """
    rows = [row for row in result["rows"] if row["link_mbit"] is None]
    shown = {row["task"]: (row["accuracy"] or 0.0) >= _SHOWN for row in rows if row["strategy"] == "uncompressed"}
    grouped: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    shaped = made_monotone if monotone else tuple[Point, ...]
    usual = {*strategies_with(embedded=True), *strategies_with(tuned=True), *strategies_with(kind=Kind.LOCAL)}
    planned = usual if strategies is None else set(strategies)
    for row in rows:
        if set(row["strategy"].split("+")) <= planned:
            grouped.setdefault(row["strategy"], {}).setdefault(row["setting"], []).append(row)
    if not grouped:
        raise UsageError().noted("the result holds no row without a link of a strategy that is planned with.")
    curves = tuple(
        Curve(
            *_strategy_and_sight(name),
            shaped([_point(name, setting, found, shown, regions or {}) for setting, found in settings.items()]),
            crop=name.partition("+")[2],
        )
        for name, settings in grouped.items()
    )
    questions = max(row["questions"] for row in rows)
    origin = Origin(result["date"], result["suite"], result["machine"], result["commit"], questions)
    return Curves(origin, curves, answer_ms or USUAL_ANSWER_MS, kinds or QuestionKinds({}, {}))


def _strategy_and_sight(name: str) -> tuple[str, str]:
    first, _, crop = name.partition("+")
    if crop:
        return first, "region"
    kind = strategy_class(first).kind
    return first, str(Kind.PICTURE if kind is Kind.TEXT else kind)  # words are drawn for models of pictures


def _point(
    name: str,
    setting: str,
    rows: Sequence[Mapping[str, Any]],
    shown: Mapping[str, bool],
    regions: Mapping[tuple[str, str], tuple[float, float]],
) -> Point:
    first, _, crop = name.partition("+")
    first_setting, _, crop_setting = setting.partition("+")
    quality = {r["task"]: r["agreement"] if shown.get(r["task"], True) else r["accuracy"] for r in rows}
    overall = next(r for r in rows if r["task"] == ALL)
    crop_bytes, crop_ms = regions.get((name, setting), (0.0, 0.0))
    return Point(
        setting=_setting(first, first_setting),
        payload_bytes=overall["payload_bytes"] - crop_bytes,
        encode_ms=overall["encode_ms"] - crop_ms,
        restore_ms=overall["decode_ms"],
        quality={kind: float(value) for kind, value in quality.items() if value is not None},
        crop_setting=_setting(crop, crop_setting) if crop else {},
        crop_bytes=crop_bytes,
        crop_encode_ms=crop_ms,
    )


def _setting(strategy: str, text: str) -> Setting:
    return parse_setting(text, STRATEGIES.load(strategy)().default_setting)


# ---- from a measurement --------------------------------------------------------------------------------
def measured_curves(found: Measured, provenance: Provenance) -> Curves:
    """Curves from what :func:`heliograph.bench.planner.measure.measure` found."""
    rows = measured_rows(found)
    regions = {(row.strategy, row.setting): _crop_means(found, region) for region, row in _region_rows(found)}
    result = {
        "suite": "planner",
        "date": provenance.date,
        "machine": provenance.machine,
        "commit": provenance.commit,
        "rows": [vars(row) for row in rows],
    }
    answer_ms = {name: ms for name, ms in found.cloud_ms.items() if name != "verify"}
    answer_ms[LOCAL] = local_answer_ms(found.outcomes)
    kinds = QuestionKinds.counted((r.task, r.question) for r in found.records)
    return curves_of(result, answer_ms=answer_ms, kinds=kinds, regions=regions)


def measured_rows(found: Measured) -> list[Row]:
    """A row per candidate and kind of question, and one for ``all``: the mean over kinds that the whole photo shows."""
    rows = [row for outcome in found.outcomes for row in _rows_of(outcome)]
    return [*rows, *(row for region, whole in _region_rows(found) for row in _with_kinds(found, region, whole))]


def _rows_of(outcome: Outcome) -> list[Row]:
    by_task: dict[str, list[float]] = {}
    right: dict[str, list[float]] = {}
    for (image_id, task), values in outcome.agreements.items():
        by_task.setdefault(task, []).extend(values)
        right.setdefault(task, []).extend(outcome.scores[image_id, task])
    photos = list(outcome.photos.values())
    common: dict[str, Any] = {
        "strategy": outcome.candidate.strategy,
        "setting": outcome.candidate.label,
        "payload_bytes": float(np.mean([p.payload_bytes for p in photos])),
        "encode_ms": float(np.median([p.encode_ms for p in photos])),
        "decode_ms": float(np.median([p.decode_ms for p in photos])),
    }
    rows = [
        Row(task=task, questions=len(v), agreement=float(np.mean(v)), accuracy=float(np.mean(right[task])), **common)
        for task, v in by_task.items()
    ]
    kept = [row for row in rows if row.task != DETAIL_TASK]
    whole: dict[str, Any] = {
        name: float(np.mean([getattr(row, name) for row in kept])) for name in ("agreement", "accuracy")
    }
    return [Row(task=ALL, questions=sum(row.questions for row in kept), **whole, **common), *rows]


def _region_rows(found: Measured) -> list[tuple[RegionCandidate, Row]]:
    """Each candidate with a region, with its first photo's row for ``all``."""
    bases = {(o.candidate.strategy, o.candidate.label): _rows_of(o)[0] for o in found.outcomes}
    pairs = []
    for region in found.regions:
        base = bases[region.base.strategy, region.base.label]
        crop_bytes, crop_ms = _crop_means(found, region)
        whole = vars(base) | {"strategy": region.strategy, "setting": region.label}
        whole |= {"payload_bytes": (base.payload_bytes or 0) + crop_bytes, "encode_ms": (base.encode_ms or 0) + crop_ms}
        pairs.append((region, Row(**whole)))
    return pairs


def _with_kinds(found: Measured, region: RegionCandidate, whole: Row) -> list[Row]:
    """The first photo's quality for every kind that it shows, the region's own for the kind that it does not."""
    outcome = next(
        o
        for o in found.outcomes
        if (o.candidate.strategy, o.candidate.label) == (region.base.strategy, region.base.label)
    )
    place = found.regions.index(region)
    good, score = np.asarray(found.region_good[place]), np.asarray(found.region_score[place])
    tried = ~np.isnan(good)
    rows = [Row(**vars(row) | _cost(whole)) for row in _rows_of(outcome) if row.task not in (ALL, DETAIL_TASK)]
    if tried.any():
        means = {"agreement": float(good[tried].mean()), "accuracy": float(score[tried].mean())}
        rows.append(Row(**vars(whole) | {"task": DETAIL_TASK, "questions": int(tried.sum())} | means))
    return [whole, *rows]


def _cost(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("strategy", "setting", "payload_bytes", "encode_ms", "decode_ms")}


def _crop_means(found: Measured, region: RegionCandidate) -> tuple[float, float]:
    costs = [cost for (name, _), cost in found.crops.items() if name == f"{region.crop.strategy}+{region.crop.label}"]
    if not costs:
        return 0.0, 0.0
    return float(np.mean([c.payload_bytes for c in costs])), float(np.median([c.encode_ms for c in costs]))


# ---- measured on calibration scenes --------------------------------------------------------------------
def calibrated(bundle: Bundle, model: str, plan: PlannerPlan, progress: Progress) -> Curves:
    """Measures every candidate of ``plan`` on its calibration scenes."""
    provenance = Provenance.now()
    bench = open_bench(VisionLanguageModel.load(model), bundle)
    items = list(scene_items(plan.calibration_seed_start, plan.calibration_scenes, descriptions=False))
    bench = warmed_up(bench, [items[0].photo])
    return measured_curves(measure(bench, plan, items, progress, "calibration scenes"), provenance)


def main() -> None:
    """``python -m heliograph.bench.planner.curves``."""
    parser = argparse.ArgumentParser(prog="python -m heliograph.bench.planner.curves", description=__doc__)
    parser.add_argument("bundle", type=Path, help="bundle folder to store curves.json in")
    parser.add_argument("--model", default="reference")
    parser.add_argument("--result", type=Path, help="results.json of a finished suite, in place of a measurement")
    arguments = parser.parse_args()
    bundle = Bundle.load(arguments.bundle)
    if arguments.result is not None:
        try:
            curves = curves_of(json.loads(arguments.result.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError) as error:
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{arguments.result}.") from error
    else:
        with Progress(False) as progress:
            curves = calibrated(bundle, arguments.model, planner_plan(), progress)
    bundle.with_measured(CURVES, curves.to_json())


if __name__ == "__main__":
    main()
