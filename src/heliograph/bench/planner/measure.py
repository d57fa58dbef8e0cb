"""Every way of sending on every question of some scenes: what it cost, and whether its answer was good.

An answer is *good* where it equals the one that the same model gives when nothing is compressed: from the whole photo,
and for small print, which the whole photo does not show, from photo and labelled region at full size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.exchange_model import Messages
from heliograph.bench.metrics import agrees
from heliograph.bench.metrics import score as score_of
from heliograph.bench.outcomes import Outcome
from heliograph.bench.planner.plan import PlannerPlan, RegionCandidate
from heliograph.bench.runner import CHUNK_PHOTOS, SHORT_ANSWER_TOKENS, Runner
from heliograph.bench.tasks import Item
from heliograph.bench.timing import processor_s
from heliograph.bench.tools import Bench
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Restored
from heliograph.strategies.selection import LOCAL
from heliograph.training.progress import Progress
from heliograph.types import QuestionRecord, VisualTokens
from heliograph.vlm.model import ImageInput

Array = npt.NDArray[np.float64]

DETAIL_TASK = "small-print"
"""The one kind of question that the whole photo, at the model's size, cannot answer."""

CROP_SIDE = 128
_ANSWER_SAMPLE = 24


@dataclass
class CropCost:
    """What one region of one photo cost: payload bytes, processor milliseconds on the device and in the cloud."""

    payload_bytes: int
    encode_ms: float
    decode_ms: float


@dataclass
class Measured:
    """What a run over some scenes found.

    Attributes:
        records: all questions in order.
        outcomes: of every whole-photo candidate, as the runner keeps them, good answers among its ``agreements``.
        regions: candidates that send a region too.
        region_good, region_score: (regions, questions) f64; NaN where no region was tried.
        crops: by (crop's label with its strategy, question number).
        cloud_ms: processor milliseconds of one answer (``tokens``, ``picture``, ``region`` behind a photo), and of
            verifying a draft (``verify``).
    """

    outcomes: list[Outcome]
    regions: tuple[RegionCandidate, ...]
    records: list[QuestionRecord] = field(default_factory=list)
    region_good: list[list[float]] = field(default_factory=list)
    region_score: list[list[float]] = field(default_factory=list)
    crops: dict[tuple[str, int], CropCost] = field(default_factory=dict)
    cloud_ms: dict[str, float] = field(default_factory=dict)

    def messages(self, outcome: Outcome, record: QuestionRecord) -> Messages:
        """Messages of one exchange; the photo's first question stands for all, which differ by a few letters."""
        return outcome.messages[record.image_id]


def measure(bench: Bench, plan: PlannerPlan, items: Sequence[Item], progress: Progress, text: str) -> Measured:
    """Runs every candidate of ``plan`` on ``items``."""
    runner = Runner(bench, plan.candidates, timed_photos=len(items))
    runner.run(items, len(items), progress, text)
    found = Measured(runner.outcomes, plan.regions)
    found.region_good, found.region_score = [[] for _ in plan.regions], [[] for _ in plan.regions]
    advance = progress.bar(len(items), f"{text}, regions")
    source = iter(items)
    while chunk := list(islice(source, CHUNK_PHOTOS)):
        for item in chunk:
            _measure_regions(bench, found, item)
        advance(len(chunk))
    found.cloud_ms = _cloud_ms(bench, items)
    return found


def region_of(item: Item, record: QuestionRecord) -> Image.Image:
    """The square of the original around the labelled place, at full size and wholly inside the photo."""
    assert record.box is not None
    left, top, right, bottom = record.box
    width, height = item.photo.size
    x = int(min(max(0, (left + right - CROP_SIDE) / 2), width - CROP_SIDE))
    y = int(min(max(0, (top + bottom - CROP_SIDE) / 2), height - CROP_SIDE))
    return item.photo.crop((x, y, x + CROP_SIDE, y + CROP_SIDE))


def _measure_regions(bench: Bench, found: Measured, item: Item) -> None:
    bases = {(region.base.strategy, region.base.label): region.base for region in found.regions}
    shown: dict[tuple[str, str], ImageInput] = {}
    if any(r.task == DETAIL_TASK for r in item.records):
        bench.device.prepare(item.photo)
        for key, base in bases.items():
            strategy = STRATEGIES.load(base.strategy)()
            stream = bench.device.encode(strategy, item.photo, base.setting).stream
            restored = strategy.restore(stream, bench.cloud)
            shown[key] = _seen(restored)
    for record in item.records:
        found.records.append(record)
        if record.task != DETAIL_TASK:
            for row in (*found.region_good, *found.region_score):
                row.append(float("nan"))
            continue
        _measure_region(bench, found, item, record, shown)


def _measure_region(
    bench: Bench, found: Measured, item: Item, record: QuestionRecord, shown: dict[tuple[str, str], ImageInput]
) -> None:
    number = len(found.records) - 1
    region = region_of(item, record)
    answer = bench.model.answer(record.question, [item.photo, region], max_new_tokens=SHORT_ANSWER_TOKENS)
    for outcome in found.outcomes:  # the runner compared it with what the whole photo says, which is nothing here
        outcome.agreements[item.image_id, record.task] = list(outcome.scores[item.image_id, record.task])
    crops: dict[tuple[str, str], ImageInput] = {}
    for crop in {(w.crop.strategy, w.crop.label): w.crop for w in found.regions}.values():
        strategy = STRATEGIES.load(crop.strategy)()
        made = bench.device.encode(strategy, region, crop.setting)
        started = processor_s()
        picture = _seen(strategy.restore(made.stream, bench.cloud))
        key = crop.strategy, crop.label
        crops[key] = picture
        found.crops["+".join(key), number] = CropCost(
            made.stream.payload_bytes, made.encode_ms, 1000 * (processor_s() - started)
        )
    for sent, good, score in zip(found.regions, found.region_good, found.region_score, strict=True):
        seen = [shown[sent.base.strategy, sent.base.label], crops[sent.crop.strategy, sent.crop.label]]
        reply = bench.model.answer(record.question, seen, max_new_tokens=SHORT_ANSWER_TOKENS)
        good.append(agrees(reply.text, answer.text))
        score.append(score_of(record, reply.text))


def _seen(restored: Restored) -> ImageInput:
    """What the model gets."""
    if restored.tokens is not None:
        return restored.tokens
    assert restored.image is not None, "regions go with tokens and pictures"
    return restored.image


def _cloud_ms(bench: Bench, items: Sequence[Item]) -> dict[str, float]:
    """Medians of a sample, processor milliseconds."""
    times: list[list[float]] = []
    for item in [item for item in items if item.records][:_ANSWER_SAMPLE]:
        question = item.records[0].question
        tokens = bench.device.prepare(item.photo)
        picture = item.photo.resize((bench.model.input_size, bench.model.input_size))
        draft = bench.model.answer(question, [tokens], max_new_tokens=SHORT_ANSWER_TOKENS)
        row: list[float] = []
        for images in _kinds_of_sight(tokens, picture):
            started = processor_s()
            bench.model.answer(question, images, max_new_tokens=SHORT_ANSWER_TOKENS)
            row.append(1000 * (processor_s() - started))
        started = processor_s()
        bench.model.verify_draft(question, [tokens], draft, max_new_tokens=SHORT_ANSWER_TOKENS)
        times.append([*row, 1000 * (processor_s() - started)])
    medians = np.median(np.asarray(times), axis=0).tolist()
    return dict(zip(("tokens", "picture", "region", "verify"), medians, strict=True))


def _kinds_of_sight(tokens: VisualTokens, picture: Image.Image) -> list[list[ImageInput]]:
    return [[tokens], [picture], [tokens, picture]]


def local_answer_ms(outcomes: Sequence[Outcome]) -> float:
    """Median processor milliseconds of the device's own model for one answer; NaN where it was not run."""
    times = [ms for o in outcomes if o.candidate.strategy == LOCAL for ms in o.answer_ms]
    return float(np.median(times)) if times else float("nan")
