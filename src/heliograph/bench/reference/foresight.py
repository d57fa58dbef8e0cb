"""What the cloud predicts of an answer beside what came true, prefix by prefix.

``python -m heliograph.bench.reference.foresight OUT`` cuts the streams of scenes of the test split at even distances,
answers their questions from every prefix, and sets the error head's expectation beside the token error, answer
agreement and semantic consistency (SC) that were found: arXiv 2604.26508's correlation of SC and quality, per prefix,
with agreement beside SC, which is left out where the extra ``sc`` is not installed. Writes ``foresight.json`` and
``foresight.png`` into OUT.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heliograph.bench.metrics import agrees, evenly_spaced
from heliograph.bench.reference.foresight_plot import plot_foresight
from heliograph.bench.results import Provenance
from heliograph.bench.runner import SHORT_ANSWER_TOKENS
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.tasks import Item, scene_items
from heliograph.codec.bundle import Bundle
from heliograph.codec.meta import MetaCodec
from heliograph.errors import CodecMissingError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.meta.error_head import correlation
from heliograph.training.progress import Progress
from heliograph.types import VisualTokens
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel

TEST_START = 8_100_000
SCENES, PREFIXES = 160, 12

Double = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Foreseen:
    """One prefix, over all questions.

    Attributes:
        bytes: mean payload.
        answers: how many.
        agreement, consistency: means of what was found; consistency None without the extra ``sc``.
        predicted_agreement: mean of the predictions.
        agreement_correlation, consistency_correlation: Pearson's, of the predicted chance of the same answer and what
            was found; None where one of them does not vary.
        consistency_floor: consistency of unrelated answers of these questions, the same for every prefix.
        error_correlation: of the logarithms of predicted and real token error, over photos.
    """

    bytes: float
    answers: int
    agreement: float
    consistency: float | None
    predicted_agreement: float
    agreement_correlation: float | None
    consistency_correlation: float | None
    error_correlation: float | None
    consistency_floor: float | None = None


def measure(
    model: VisionLanguageModel,
    codec: MetaCodec,
    items: Iterable[Item],
    semantics: SemanticConsistency | None,
    prefixes: int = PREFIXES,
) -> list[Foreseen]:
    """Cut, answer and compare.

    Args:
        model: the frozen VLM.
        codec: with an error head.
        items: photos with questions.
        semantics: None leaves SC out.
        prefixes: of each stream, at even distances, the whole one last.
    """
    samples: list[list[tuple[float, ...]]] = [[] for _ in range(prefixes)]
    photos: list[list[tuple[float, ...]]] = [[] for _ in range(prefixes)]
    uncompressed: list[str] = []
    for item in items:
        tokens = model.encode_image(item.photo)
        asked = [record.question for record in item.records]
        wanted = _answers(model, tokens, asked)
        uncompressed += wanted
        encoded = codec.encode(tokens)
        for place, count in enumerate(evenly_spaced(len(encoded.segments), prefixes)):
            part = encoded.prefix(count)
            restored = codec.decode(part.header, part.segments)
            found = _answers(model, restored, asked)
            if semantics is not None:
                semantics.prepare(found, wanted)
            consistency = semantics.scores(found, wanted) if semantics else [np.nan] * len(asked)
            for question, answer, same, sc in zip(asked, found, wanted, consistency, strict=True):
                chance = 1 - codec.expect(part.header, part.segments, question).answer_differs
                samples[place].append((part.payload_bytes, agrees(answer, same), sc, chance))
            error = float(np.square(restored.values - tokens.values).mean())
            photos[place].append((error, codec.expect(part.header, part.segments).token_error))
    floor = semantics.floor(uncompressed) if semantics else None
    return [_foreseen(np.asarray(s), np.asarray(p), floor) for s, p in zip(samples, photos, strict=True) if s]


def _answers(model: VisionLanguageModel, tokens: VisualTokens, asked: Sequence[str]) -> list[str]:
    answers = model.answer_questions([tokens], list(asked), max_new_tokens=SHORT_ANSWER_TOKENS)
    return [one.text for one in answers]


def _foreseen(samples: Double, photos: Double, floor: float | None) -> Foreseen:
    """Statistics of (answers, 4) bytes, agreement, SC, chance and (photos, 2) token errors, found and predicted."""
    size, same, sc, chance = samples.T
    known = bool(np.isfinite(sc).all())
    errors = np.log(np.maximum(photos, 1e-12)).T
    return Foreseen(
        bytes=float(size.mean()),
        answers=len(size),
        agreement=float(same.mean()),
        consistency=float(sc.mean()) if known else None,
        predicted_agreement=float(chance.mean()),
        agreement_correlation=correlation(chance, same),
        consistency_correlation=correlation(chance, sc) if known else None,
        error_correlation=correlation(errors[0], errors[1]),
        consistency_floor=floor,
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scenes", type=int, default=SCENES)
    arguments = parser.parse_args()
    codec = Bundle.load(shipped_bundle_folder()).codec("meta")
    if not isinstance(codec, MetaCodec):
        raise CodecMissingError
    model, provenance = VisionLanguageModel.load(REFERENCE), Provenance.now()
    with Progress(quiet=False) as progress:
        items = list(scene_items(TEST_START, arguments.scenes, descriptions=False))
        found = measure(model, codec, progress.over(items, "scenes"), SemanticConsistency.load())
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = {"provenance": asdict(provenance), "scenes": arguments.scenes, "prefixes": [asdict(one) for one in found]}
    (arguments.out / "foresight.json").write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    plot_foresight(text, arguments.out / "foresight.png")


if __name__ == "__main__":
    main()
