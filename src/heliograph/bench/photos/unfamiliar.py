"""How surely photos that nothing was fitted on are told from scenes, and what confidence is shown of their answers.

Run ``python -m heliograph.bench.photos.unfamiliar docs/results``: it writes ``unfamiliar.json``, in the schema of the
suites, its table and its picture. The misfit of test scenes, Kodak and TextVQA photos is measured by the device as it
is when a photo is sent, by ``klt`` and by ``meta``; then photos of the folder ``street`` are asked about, and scenes
with and without the misfit.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.bench.data import data_folder
from heliograph.bench.metrics import normal_form, score
from heliograph.bench.photos.unfamiliar_plot import MODEL, PICTURES, RIGHT, SHOWN, WITHOUT
from heliograph.bench.report import publish
from heliograph.bench.results import Figure, Provenance, SuiteResult
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.stats import clustered_mean_interval
from heliograph.bench.tasks import Item, scene_items
from heliograph.codec.bundle import Bundle
from heliograph.codec.fallback import CLOSED_FORM, LEARNED
from heliograph.codec.familiarity import UNFAMILIAR_BELOW, prefix_misfit
from heliograph.controllers.confidence import shown_confidence
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.serving.cloud import Cloud
from heliograph.training.calibration.measures import expected_calibration_error
from heliograph.training.meta.error_head import auroc
from heliograph.types import EncodedImage, QuestionRecord, VisualTokens
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel

SUITE = "unfamiliar"
TEST_START, SCENES, STREET, TEXTVQA = 8_100_000, 100, 100, 76
GENERIC = "describe the picture."
_SEED = 0
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

NOTES = (
    "Misfit: squared error of the tokens that a codec's own stream restores, as a share of how much the photo's tokens "
    "vary; of klt from a prefix whose length the bundle names, of meta from the whole stream.",
    f"{SCENES} scenes of the test split; all 24 Kodak photos, {TEXTVQA} of textvqa-dev and {STREET} of street, drawn "
    f"with seed {_SEED}. The bundle's fitted ranges are from 150 scenes of the dev split.",
    f"Street photos were asked '{GENERIC}' and one of their own questions each, scenes all of theirs but descriptions. "
    "An own question is answered rightly where the answer is one of those that people gave.",
    "Confidence: as shown for the whole stream. A photo is called unfamiliar where the chance that it is of the fitted "
    f"kind is below {UNFAMILIAR_BELOW}.",
)


@dataclass(frozen=True)
class Shown:
    """One answer from a whole stream.

    Attributes:
        photo: its name.
        confidence: as shown.
        without: the calibrated chance without the misfit.
        model: the model's own confidence.
        right: 0 or 1; NaN where nobody knows.
    """

    photo: str
    confidence: float
    without: float
    model: float
    right: float


@dataclass(frozen=True)
class Sides:
    """Device and cloud around one bundle."""

    device: Device
    cloud: Cloud

    def stream(self, tokens: VisualTokens) -> EncodedImage:
        """What is sent of a photo."""
        return self.device.codec(LEARNED).encode(tokens)

    def shown(self, photo: str, stream: EncodedImage, record: QuestionRecord, right: bool) -> Shown:
        """The answer to one question; ``right`` where its right answers are known."""
        made = self.cloud.model.answer(
            record.question, [self.cloud.restore_tokens(stream)], max_new_tokens=SHORT_ANSWER_TOKENS
        )
        signals = self.device.signals(stream, record.question, made)
        without = shown_confidence(made, signals, self.device.calibration)
        shown = self.device.confidence(stream, record.question, made)
        return Shown(photo, shown, without, made.confidence, score(record, made.text) if right else np.nan)


def run(say: Any = print) -> SuiteResult:
    """All figures.

    Raises:
        BundleDamagedError: the shipped bundle holds no fitted ranges.
        DataMissingError: a folder of photos is not there.
    """
    provenance, bundle = Provenance.now(), Bundle.load(shipped_bundle_folder())
    if bundle.familiarity is None:
        raise BundleDamagedError(BundlePart.FAMILIARITY, BundleFault.UNNAMED)
    model = VisionLanguageModel.load(REFERENCE)
    sides = Sides(Device(bundle), Cloud(model, bundle.codecs, bundle.hash))
    scenes = list(scene_items(TEST_START, SCENES, descriptions=False))
    say("encoding")
    tokens = {
        "scenes": [sides.device.encode_tokens(item.photo) for item in scenes],
        "kodak": _tokens(sides.device, chosen_photos("kodak", None)),
        "textvqa-dev": _tokens(sides.device, chosen_photos("textvqa-dev", TEXTVQA)),
    }
    street = chosen_photos("street", STREET)
    tokens["street"] = _tokens(sides.device, street)
    figures = [figure for kind in (LEARNED, CLOSED_FORM) for figure in _auroc_figures(bundle, kind, tokens)]
    say("asking")
    figures += street_figures(street_answers(sides, street, tokens["street"]))
    figures += scene_figures(scene_answers(sides, scenes, tokens["scenes"]))
    streams = [sides.stream(one) for one in tokens["scenes"]]
    flagged = [float((sides.device.likelihood(one) or 1.0) < UNFAMILIAR_BELOW) for one in streams]
    figures.append(Figure("scenes called unfamiliar, share", float(np.mean(flagged)), _interval(flagged), 0.01, 0.0))
    return SuiteResult(SUITE, provenance, rows=(), b99={}, figures=tuple(figures), notes=NOTES, pictures=PICTURES)


def chosen_photos(folder: str, most: int | None) -> list[Path]:
    """Photos of a folder of the data at hand, drawn with one seed; all of them for None."""
    found = sorted(path for path in data_folder(folder).rglob("*") if path.suffix.lower() in _SUFFIXES)
    return found if most is None else random.Random(_SEED).sample(found, min(most, len(found)))


def _tokens(device: Device, photos: Iterable[Path]) -> list[VisualTokens]:
    return [device.encode_tokens(load_photo(path)) for path in photos]


def _auroc_figures(bundle: Bundle, kind: str, tokens: dict[str, list[VisualTokens]]) -> list[Figure]:
    """AUROC of one codec's misfit: scenes against Kodak and TextVQA, and against street photos."""
    assert bundle.familiarity is not None
    codec, size = bundle.codec(kind), bundle.familiarity.ranges[kind].payload_bytes
    found = {name: np.asarray([prefix_misfit(codec, one, size) for one in some]) for name, some in tokens.items()}
    real = np.concatenate([found["kodak"], found["textvqa-dev"]])
    return [
        Figure(
            f"AUROC of {kind}'s misfit, scenes against Kodak and TextVQA photos",
            separation(found["scenes"], real),
            None,
            0.99,
            1.0,
            at_least=True,
        ),
        Figure(f"the same against street photos, {kind}", separation(found["scenes"], found["street"]), at_least=True),
    ]


def separation(familiar: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float | None:
    """Chance that a photo of another kind scores above a familiar one."""
    truth = np.concatenate([np.zeros(len(familiar)), np.ones(len(other))])
    return auroc(np.concatenate([familiar, other]), truth)


def street_answers(sides: Sides, photos: Sequence[Path], tokens: Sequence[VisualTokens]) -> list[Shown]:
    """The generic question about every photo, and the first of its own."""
    own = _own_questions()
    found = []
    for path, one in zip(photos, tokens, strict=True):
        stream = sides.stream(one)
        found.append(sides.shown(path.name, stream, QuestionRecord(path.name, "photo", GENERIC, ""), right=False))
        if path.name in own:
            found.append(sides.shown(path.name, stream, own[path.name], right=True))
    return found


def _own_questions() -> dict[str, QuestionRecord]:
    """The first question about each street photo, with everything that people answered."""
    found: dict[str, QuestionRecord] = {}
    for line in (data_folder("street") / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        answers = tuple(map(normal_form, one["answers"]))
        record = QuestionRecord(one["photo"], "photo", one["question"], answers[0], accepted=answers)
        found.setdefault(one["photo"], record)
    return found


def scene_answers(sides: Sides, scenes: Sequence[Item], tokens: Sequence[VisualTokens]) -> list[Shown]:
    """Every question about every scene."""
    return [
        sides.shown(item.image_id, sides.stream(one), record, right=True)
        for item, one in zip(scenes, tokens, strict=True)
        for record in item.records
    ]


def street_figures(answers: Sequence[Shown]) -> list[Figure]:
    """What is shown of street photos, beside what the model and the calibration alone would say, and what is right."""
    names = [one.photo for one in answers]
    known = [one for one in answers if not np.isnan(one.right)]

    def mean(name: str, values: list[float], must: float | None = None, aim: float | None = None) -> Figure:
        return Figure(name, float(np.mean(values)), clustered_mean_interval(values, names), must, aim)

    return [
        mean(SHOWN, [one.confidence for one in answers], 0.30, 0.15),
        mean(WITHOUT, [one.without for one in answers]),
        mean(MODEL, [one.model for one in answers]),
        Figure(
            RIGHT,
            float(np.mean([one.right for one in known])),
            _interval([one.right for one in known]),
        ),
        Figure("mean confidence shown of these", float(np.mean([one.confidence for one in known]))),
    ]


def scene_figures(answers: Sequence[Shown]) -> list[Figure]:
    """What the misfit changes for scenes."""
    right = np.asarray([one.right for one in answers])
    shown, without = (np.asarray([getattr(one, name) for one in answers]) for name in ("confidence", "without"))
    return [
        Figure("calibration error of scenes' answers from whole streams", expected_calibration_error(shown, right)),
        Figure("the same without the misfit", expected_calibration_error(without, right)),
        Figure("mean confidence that the misfit costs scenes", float((without - shown).mean()), None, 0.01, 0.005),
    ]


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    return clustered_mean_interval(values, [str(place) for place in range(len(values))])


def main(folder: Path) -> None:
    """Write ``unfamiliar.json``, its table and picture into a folder and say what is in them."""
    result = run()
    publish(result, folder)
    for figure in result.figures:
        print(f"{figure.name}: {figure.value} {figure.interval or ''}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
