"""What it costs that device and cloud do not compute the same: a device's encoder beside the model's own tower.

``python -m heliograph.bench.reference.precision BUNDLE OUT.json --budget 129`` answers the questions of scenes of the
test split from the device's tokens (another runtime, perhaps int8) and from the model's own, as they are and through
each codec of the bundle at a budget of bytes, and counts how often the answers are those of the model's own tokens
uncompressed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.metrics import agrees
from heliograph.bench.results import Provenance
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.stats import Interval, clustered_mean_interval
from heliograph.bench.tasks import Item, scene_items
from heliograph.codec.base import Codec
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

TEST_START, SCENES = 8_100_000, 80
FULL_RATE = "uncompressed"


@dataclass(frozen=True)
class PrecisionRow:
    """One way of sending, over all questions.

    Attributes:
        sent: ``uncompressed``, or a codec's name.
        payload_bytes: mean, of the device's stream; None for uncompressed tokens.
        own: share of answers, from the model's own tokens sent so, that are those of its uncompressed tokens.
        device: the same from the device's tokens.
        cost: own minus device, in points; with its 95 % interval over photos.
        interval: of ``cost``; None where it is not known.
        answers: how many.
    """

    sent: str
    payload_bytes: float | None
    own: float
    device: float
    cost: float
    interval: Interval | None
    answers: int


@dataclass(frozen=True)
class Precision:
    """All of it.

    Attributes:
        mean_error: mean difference of the device's tokens, over the mean size of the model's.
        max_error: the largest difference, over the largest token value.
        rows: by way of sending.
    """

    mean_error: float
    max_error: float
    rows: tuple[PrecisionRow, ...]


def measure_precision(
    model: VisionLanguageModel, device: Device, codecs: dict[str, Codec], items: Iterable[Item], budget: int
) -> Precision:
    """Answer everything twice.

    Args:
        model: the frozen VLM.
        device: with the bundle's encoder.
        codecs: by name.
        items: photos with questions.
        budget: payload bytes of a codec's stream at most.
    """
    errors: list[tuple[float, float]] = []
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in (FULL_RATE, *codecs)}
    sizes: dict[str, list[int]] = {name: [] for name in codecs}
    clusters: list[str] = []
    for number, item in enumerate(items):
        own, sent = model.encode_image(item.photo), device.encode_tokens(item.photo)
        difference = np.abs(sent.values - own.values)
        errors.append(
            (float(difference.mean() / np.abs(own.values).mean()), float(difference.max() / np.abs(own.values).max()))
        )
        asked = [record.question for record in item.records]
        wanted = _answers(model, own, asked)
        clusters += [str(number)] * len(asked)
        samples[FULL_RATE] += _compared(wanted, wanted, _answers(model, sent, asked))
        for name, codec in codecs.items():
            streams = [codec.encode(tokens, max_bytes=budget) for tokens in (own, sent)]
            restored = [codec.decode(one.header, one.segments) for one in streams]
            sizes[name].append(streams[1].payload_bytes)
            samples[name] += _compared(wanted, *(_answers(model, one, asked) for one in restored))
    rows = tuple(_row(name, pairs, clusters, sizes.get(name)) for name, pairs in samples.items())
    mean, largest = np.asarray(errors).T
    return Precision(float(mean.mean()), float(largest.max()), rows)


def _answers(model: VisionLanguageModel, tokens: VisualTokens, asked: Sequence[str]) -> list[str]:
    answers = model.answer_questions([tokens], list(asked), max_new_tokens=SHORT_ANSWER_TOKENS)
    return [one.text for one in answers]


def _compared(wanted: Sequence[str], own: Sequence[str], device: Sequence[str]) -> list[tuple[float, float]]:
    return [(agrees(a, w), agrees(b, w)) for w, a, b in zip(wanted, own, device, strict=True)]


def _row(
    name: str, pairs: Sequence[tuple[float, float]], clusters: Sequence[str], sizes: Sequence[int] | None
) -> PrecisionRow:
    own, device = np.asarray(pairs, dtype=np.float64).T
    return PrecisionRow(
        sent=name,
        payload_bytes=None if sizes is None else float(np.mean(sizes)),
        own=float(own.mean()),
        device=float(device.mean()),
        cost=100 * float((own - device).mean()),
        interval=clustered_mean_interval((100 * (own - device)).tolist(), clusters),
        answers=len(pairs),
    )


def report(bundle: Bundle, model_name: str, budget: int, scenes: int, quiet: bool = False) -> dict[str, Any]:
    """Measured on scenes of the test split, as JSON values."""
    provenance = Provenance.now()
    model = VisionLanguageModel.load(model_name)
    with Progress(quiet) as progress:
        items = list(scene_items(TEST_START, scenes, descriptions=False))
        found = measure_precision(model, Device(bundle), bundle.codecs, progress.over(items, "scenes"), budget)
    return {"scenes": scenes, "budget": budget, "bundle": bundle.hash.hex(), **asdict(provenance), **asdict(found)}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="reference")
    parser.add_argument("--budget", type=int, default=129)
    parser.add_argument("--scenes", type=int, default=SCENES)
    given = parser.parse_args()
    found = report(Bundle.load(given.bundle), given.model, given.budget, given.scenes)
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["rows"], indent=1))


if __name__ == "__main__":
    main()
