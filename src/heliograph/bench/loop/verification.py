"""Draft verification beside answering anew: are the answers the same, and what does it cost?

Scenes of the test split are answered at evenly spaced prefixes. From the second on, each answer is made twice: anew,
and by verifying the answer of the prefix before, as the loop does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from heliograph.bench.metrics import evenly_spaced
from heliograph.bench.results import Figure
from heliograph.bench.runner import LONG_ANSWER_TOKENS
from heliograph.bench.stats import DoubleArray, clustered_interval
from heliograph.bench.tasks import DESCRIPTION, Item
from heliograph.bench.timing import processor_s
from heliograph.codec.base import Codec
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

PREFIXES = 8
LONG = 16
ANSWERS = 1000
_SHORT_QUESTIONS = 2  # of each scene, beside its description
_COST_BOUNDS = (0.5, 0.3)


@dataclass
class Verifications:
    """What was found, one entry per answer.

    Attributes:
        scene: its number.
        same: whether token ids are those of the answer made anew.
        tokens: of the answer.
        kept: of the draft's first tokens.
        anew_s, verify_s: processor time.
    """

    scene: list[int]
    same: list[bool]
    tokens: list[int]
    kept: list[int]
    anew_s: list[float]
    verify_s: list[float]

    def __len__(self) -> int:
        return len(self.scene)


def measure_verification(
    model: VisionLanguageModel, codec: Codec, items: Iterable[Item], answers: int = ANSWERS
) -> Verifications:
    """Answers at refined prefixes, made both ways, until there are enough.

    Args:
        model: answers.
        codec: whose streams are cut.
        items: scenes with descriptions among their questions.
        answers: how many to compare.
    """
    found = Verifications([], [], [], [], [], [])
    for number, item in enumerate(items):
        if len(found) >= answers:
            break
        stream = codec.encode(model.encode_image(item.photo))
        counts = evenly_spaced(len(stream.segments), PREFIXES)
        tokens = [codec.decode(stream.header, stream.segments[:count]) for count in counts]
        for question in _questions(item, number):
            _chain(model, question, tokens, number, found)
    return found


def _questions(item: Item, number: int) -> list[str]:
    """The description and some of the short questions, others for each scene."""
    long = [record.question for record in item.records if record.task == DESCRIPTION]
    short = [record.question for record in item.records if record.task != DESCRIPTION]
    turned = short[number % max(len(short), 1) :] + short
    return [*long, *turned[:_SHORT_QUESTIONS]]


def _chain(
    model: VisionLanguageModel, question: str, prefixes: list[VisualTokens], scene: int, found: Verifications
) -> None:
    """One question at every prefix; each draft is the answer of the one before."""
    draft = model.answer(question, [prefixes[0]], max_new_tokens=LONG_ANSWER_TOKENS)
    for tokens in prefixes[1:]:
        started = processor_s()
        anew = model.answer(question, [tokens], max_new_tokens=LONG_ANSWER_TOKENS)
        between = processor_s()
        checked = model.verify_draft(question, [tokens], draft, max_new_tokens=LONG_ANSWER_TOKENS)
        ended = processor_s()
        found.scene.append(scene)
        found.same.append(checked.answer.token_ids == anew.token_ids)
        found.tokens.append(len(anew.token_ids))
        found.kept.append(checked.kept_tokens)
        found.anew_s.append(between - started)
        found.verify_s.append(ended - between)
        draft = checked.answer


def verification_figures(found: Verifications) -> tuple[Figure, ...]:
    """Share of equal answers, and processor time over that of answering anew on long answers."""
    long = np.asarray(found.tokens) >= LONG
    anew, verify = (np.asarray(one) * long for one in (found.anew_s, found.verify_s))
    scenes = np.unique(found.scene, return_inverse=True)[1]
    sums = [np.bincount(scenes, weights=one) for one in (verify, anew)]

    def ratio(weights: DoubleArray) -> float | None:
        below = float(weights @ sums[1])
        return float(weights @ sums[0]) / below if below else None

    photos = len(sums[0])
    short = ~long
    cheap = np.asarray(found.anew_s)[short].sum()
    return (
        Figure(
            f"verified drafts with the token ids of the answer made anew, share of {len(found):,}",
            float(np.mean(found.same)),
            must=1.0,
            at_least=True,
        ),
        Figure(
            f"processor time of verifying / answering anew, {int(long.sum()):,} answers of {LONG} tokens and more",
            ratio(np.ones(photos)),
            clustered_interval(ratio, photos),
            *_COST_BOUNDS,
        ),
        Figure(
            f"the same on {int(short.sum()):,} shorter answers",
            float(np.asarray(found.verify_s)[short].sum() / cheap) if cheap else None,
        ),
    )
