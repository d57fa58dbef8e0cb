"""Mixed requests in random order, with drops, through a batch: how many get the answer that they get alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from heliograph.reference.questions import questions as questions_about
from heliograph.reference.render import render_scene
from heliograph.training.progress import Progress
from heliograph.types import Answer, VisualTokens
from heliograph.vlm.contract import AnswerBatch, BatchRequest, EndedRequest, TorchModel

_SCENES, _FIRST_SEED = 48, 8_300_000
_LIMITS = (1, 4, 12, 40)
_CAPACITY_TOKENS = 24 * 256
_DROPPED = 0.05
"""Chance of a drop in a step."""


@dataclass(frozen=True)
class Agreement:
    """How many answers side by side are those one by one.

    Attributes:
        requests: asked.
        dropped: of them, in the middle of their work.
        equal: of those that ended, with the same text and token ids.
        ended: with an answer.
        failed: with an error.
        furthest: largest difference of confidence among equal answers.
    """

    requests: int
    dropped: int
    equal: int
    ended: int
    failed: int
    furthest: float


def photos_of(model: TorchModel, count: int) -> list[VisualTokens]:
    """Tokens of rendered scenes that nothing was trained on."""
    return [model.encode_image(render_scene(_FIRST_SEED + i).image) for i in range(count)]


def questions_of(scenes: int) -> list[str]:
    """What is asked about the first of those scenes, of all kinds."""
    return [one.question for i in range(scenes) for one in questions_about(render_scene(_FIRST_SEED + i).plan)]


def compare_mixed(model: TorchModel, count: int, seed: int, progress: Progress) -> Agreement:
    """Ask side by side and one by one.

    Args:
        model: with batches.
        count: requests: questions of all kinds, about none to three photos, from tokens and pixels, with limits from 1
            to 40, without a draft or with one that is right, partly right, another question's or too long.
        seed: of the choice, the order and the drops.
        progress: told now and then.
    """
    rng = random.Random(seed)
    waiting, alone = _requests(model, count, rng, progress)
    batch = model.open_batch(_CAPACITY_TOKENS)
    if batch is None:
        raise AssertionError(model.one_at_a_time)
    ended, dropped = _answered(batch, list(waiting), rng, progress)
    found = [(one.verified.answer, alone[one.request]) for one in ended if one.verified is not None]
    equal = [(a, b) for a, b in found if (a.text, a.token_ids) == (b.text, b.token_ids)]
    furthest = max((abs(a.confidence - b.confidence) for a, b in equal), default=0.0)
    return Agreement(count, dropped, len(equal), len(found), len(ended) - len(found), furthest)


def _answered(
    batch: AnswerBatch, waiting: list[BatchRequest], rng: random.Random, progress: Progress
) -> tuple[list[EndedRequest], int]:
    """All that ended, and how many were dropped."""
    here: list[BatchRequest] = []
    ended: list[EndedRequest] = []
    dropped = 0
    while waiting or here:
        for _ in range(rng.randrange(8)):
            if waiting and batch.fits(waiting[-1]):
                here.append(waiting.pop())
                batch.admit(here[-1])
        if here and rng.random() < _DROPPED:
            batch.drop(here.pop(rng.randrange(len(here))))
            dropped += 1
        for one in batch.step():
            here.remove(one.request)
            ended.append(one)
            if len(ended) % 500 == 0:
                progress.say(f"{len(ended)} answered side by side")
    return ended, dropped


def _requests(
    model: TorchModel, count: int, rng: random.Random, progress: Progress
) -> tuple[list[BatchRequest], dict[BatchRequest, Answer]]:
    """The requests, and their answers one by one."""
    photos = photos_of(model, _SCENES)
    shown: list[list[Any]] = [[one] for one in photos]
    shown += [[render_scene(_FIRST_SEED + i).image] for i in range(4)]
    shown += [[], photos[:2], photos[3:6], [photos[7], render_scene(_FIRST_SEED).image]]
    questions = questions_of(12)
    made: list[BatchRequest] = []
    alone: dict[BatchRequest, Answer] = {}
    for done in range(count):
        asked = BatchRequest(rng.choice(questions), rng.choice(shown), None, rng.choice(_LIMITS))
        answer = model.answer(asked.question, asked.images, max_new_tokens=asked.max_new_tokens)
        other = rng.choice(list(alone.values())) if alone else answer
        made.append(replace(asked, draft=_draft(rng, answer, other)))
        alone[made[-1]] = answer
        if (done + 1) % 500 == 0:
            progress.say(f"{done + 1} answered one by one")
    return made, alone


def _draft(rng: random.Random, answer: Answer, other: Answer) -> Answer | None:
    ids: Sequence[int] = answer.token_ids
    cut = rng.randrange(len(ids) + 1)
    drafts: list[Sequence[int] | None] = [None, None, ids, ids[:cut], other.token_ids, (*ids[:cut], *other.token_ids)]
    drafts += [(*ids, *ids, *ids), (*ids[:cut], *other.token_ids[:1], *ids[cut + 1 :])]
    chosen = rng.choice(drafts)
    return None if chosen is None else replace(answer, token_ids=tuple(chosen))
