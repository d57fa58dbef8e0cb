"""Stages two and three of the reference model: language over cached visual tokens, then everything jointly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from heliograph.reference.questions import count_questions, questions
from heliograph.reference.scenes import ScenePlan, plan_scene
from heliograph.training.reference.data import EasyStore, SceneStore
from heliograph.training.reference.packing import PackedBatch, PromptPieces, answer_loss, pack
from heliograph.training.reference.phases import batch_tokens
from heliograph.training.reference.tower import DenseHeads

Pairs = list[tuple[str, str]]
_EASY_SHARE, _CROP_SHARE = 0.1, 0.22
_EASY_QUESTIONS = 12
_ROUNDS_WHOLE, _ROUNDS_WITH_CROP = 2, 1
_EXTRA_COUNTS = 5  # counting is learnt last: it gets more questions than the other tasks
_SCORED_SCENES, _SCORED_AT_ONCE = 200, 25


@dataclass(frozen=True)
class Sample:
    """One packed picture: where its pixels are and what is asked.

    ``pictures`` holds (source, index, view) with source ``view``, ``crop`` or ``easy``.
    """

    pictures: tuple[tuple[str, int, int], ...]
    pairs: Pairs


class SampleMaker:
    """Draws samples; plans and questions come from the scene's seed, so only pixels are stored."""

    def __init__(self, scenes: SceneStore, easy: EasyStore | None) -> None:
        self.scenes, self.easy = scenes, easy
        self._plans: dict[int, ScenePlan] = {}
        counts = np.asarray([len(self._plan(int(seed)).objects) for seed in scenes.seeds])
        self._simple = np.flatnonzero(counts <= 3)

    def _plan(self, seed: int) -> ScenePlan:
        plan = self._plans.get(seed)
        if plan is None:
            plan = self._plans[seed] = plan_scene(seed)
        return plan

    def draw(self, rng: np.random.Generator, size: int, simple_share: float) -> list[Sample]:
        """``size`` samples; ``simple_share`` of the scenes have three objects at most (the curriculum)."""
        return [self._draw_one(rng, simple_share) for _ in range(size)]

    def _draw_one(self, rng: np.random.Generator, simple_share: float) -> Sample:
        kind = rng.random()
        if self.easy is not None and kind < _EASY_SHARE:
            return self._draw_easy(rng, self.easy)
        simple = rng.random() < simple_share
        index = int(rng.choice(self._simple)) if simple else int(rng.integers(len(self.scenes)))
        plan = self._plan(int(self.scenes.seeds[index]))
        view = ("view", index, int(rng.integers(self.scenes.views.shape[1])))
        with_crop = kind > 1 - _CROP_SHARE
        rounds = _ROUNDS_WITH_CROP if with_crop else _ROUNDS_WHOLE
        pairs = _pairs(plan, int(rng.integers(1, 1 << 20)))
        for _ in range(rounds - 1):  # one description is enough: it is as long as all questions of a round
            pairs = _pairs(plan, int(rng.integers(1, 1 << 20)))[:-1] + pairs
        if not with_crop:
            pairs = _count_pairs(plan, rng) + pairs
        return Sample((view, ("crop", index, 0)) if with_crop else (view,), pairs)

    def _draw_easy(self, rng: np.random.Generator, easy: EasyStore) -> Sample:
        index = int(rng.integers(len(easy.records)))
        copy = int(rng.integers(2))
        records = easy.records[index]
        chosen = rng.permutation(len(records))[:_EASY_QUESTIONS]
        pairs = [(records[i].question, records[i].answer) for i in chosen]
        return Sample((("easy", index + copy * len(easy.records), 0),), pairs)


def _pairs(plan: ScenePlan, round_number: int) -> Pairs:
    return [(record.question, record.answer) for record in questions(plan, round_number=round_number)]


def _count_pairs(plan: ScenePlan, rng: np.random.Generator) -> Pairs:
    asked = [record for n in rng.integers(1, 1 << 20, _EXTRA_COUNTS) for record in count_questions(plan, int(n))]
    return [(record.question, record.answer) for record in asked]


def gather_pixels(samples: Sequence[Sample], scenes: SceneStore, easy: EasyStore | None) -> Tensor:
    """Pixels (pictures, 128, 128, 3) uint8 of all samples in reading order."""
    rows: list[npt.NDArray[np.uint8]] = []
    for sample in samples:
        for source, index, view in sample.pictures:
            if source == "view":
                rows.append(scenes.views[index, view])
            elif source == "crop":
                rows.append(scenes.crops[index])
            elif easy is not None:
                rows.append(easy.pixels[index])
    return torch.from_numpy(np.stack(rows))


class TokenCache:
    """Visual tokens of every picture from a frozen tower, as float16."""

    def __init__(self, model: Any, scenes: SceneStore, easy: EasyStore | None, batch: int = 128) -> None:
        self._views_per_scene = scenes.views.shape[1]
        flat = scenes.views.reshape(-1, *scenes.views.shape[2:])
        self._sources = {"view": _encode_all(model, flat, batch), "crop": _encode_all(model, scenes.crops, batch)}
        if easy is not None:
            self._sources["easy"] = _encode_all(model, easy.pixels, batch)

    def gather(self, samples: Sequence[Sample]) -> Tensor:
        """(pictures * 64, D) float32 of all samples in reading order."""
        rows = []
        for sample in samples:
            for source, index, view in sample.pictures:
                place = index * self._views_per_scene + view if source == "view" else index
                rows.append(self._sources[source][place])
        return torch.cat(rows).float()


def _encode_all(model: Any, pixels: npt.NDArray[np.uint8], batch: int) -> Tensor:
    with torch.no_grad():
        parts = [
            batch_tokens(model, torch.from_numpy(pixels[i : i + batch])).half() for i in range(0, len(pixels), batch)
        ]
    return torch.cat(parts)


class LanguagePhase:
    """Stage two: the language model reads cached tokens; the tower stays as it is."""

    name = "language"
    peak_rate = 1.2e-3
    batch_size = 16

    def __init__(self, model: Any, tokenizer: Any, maker: SampleMaker, held_out: SceneStore) -> None:
        self.model, self.maker, self.held_out = model, maker, held_out
        self.pieces = PromptPieces(tokenizer)
        self._cache: TokenCache | None = None

    def modules(self) -> tuple[nn.Module, ...]:
        """The language model with its (tied) embeddings."""
        return (self.model.model.text_model,)

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """Answer loss on cached tokens; the curriculum fades out over the first third."""
        if self._cache is None:
            self._cache = TokenCache(self.model, self.maker.scenes, self.maker.easy)
        samples = self.maker.draw(rng, self.batch_size, simple_share=max(0.0, 0.75 * (1 - 3 * progress)))
        return answer_loss(self.model, _packed(self.pieces, samples), self._cache.gather(samples))

    def report(self) -> dict[str, float]:
        """Exact-answer share per task on held-out scenes, teacher-forced."""
        return held_out_accuracy(self.model, self.pieces, self.held_out)


class JointPhase:
    """Stage three: tower, projector and language model together, gently."""

    name = "joint"
    peak_rate = 1e-4
    batch_size = 14
    dense_share = 0.1

    def __init__(self, model: Any, tokenizer: Any, maker: SampleMaker, heads: DenseHeads, held_out: SceneStore) -> None:
        self.model, self.maker, self.heads, self.held_out = model, maker, heads, held_out
        self.pieces = PromptPieces(tokenizer)

    def modules(self) -> tuple[nn.Module, ...]:
        """Everything, and the dense heads."""
        return self.model, self.heads

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """Answer loss through the tower, with a little of the dense loss so that it does not drift."""
        samples = self.maker.draw(rng, self.batch_size, simple_share=0.0)
        pixels = gather_pixels(samples, self.maker.scenes, self.maker.easy)
        more, labels = self.maker.scenes.tower_batch(rng, 6, 4)
        tokens = batch_tokens(self.model, torch.cat([pixels, more]))  # (pictures + 10, 64, D)
        answers = answer_loss(self.model, _packed(self.pieces, samples), tokens[: len(pixels)].flatten(0, 1))
        return answers + self.dense_share * self.heads.loss(tokens[len(pixels) :], labels)

    def report(self) -> dict[str, float]:
        """Exact-answer share per task on held-out scenes, teacher-forced."""
        return held_out_accuracy(self.model, self.pieces, self.held_out)


def _packed(pieces: PromptPieces, samples: Sequence[Sample]) -> PackedBatch:
    return pack(pieces, [(len(sample.pictures), sample.pairs) for sample in samples])


def held_out_accuracy(model: Any, pieces: PromptPieces, held_out: SceneStore) -> dict[str, float]:
    """Share of questions whose every answer token is the model's first choice, per task.

    ``small-print`` is asked of the whole scene, ``small-print+crop`` with the right crop beside it.
    """
    right: dict[str, list[bool]] = {}
    scenes = min(_SCORED_SCENES, len(held_out))
    for start in range(0, scenes, _SCORED_AT_ONCE):
        index = range(start, min(start + _SCORED_AT_ONCE, scenes))
        for with_crop in (False, True):
            _score_batch(model, pieces, held_out, [i for i in index], with_crop, right)
    return {task: sum(marks) / len(marks) for task, marks in right.items()}


def _score_batch(
    model: Any,
    pieces: PromptPieces,
    held_out: SceneStore,
    index: list[int],
    with_crop: bool,
    right: dict[str, list[bool]],
) -> None:
    samples, tasks = [], []
    for i in index:
        records = questions(plan_scene(int(held_out.seeds[i])))
        if with_crop:
            records = tuple(r for r in records if r.task == "small-print") if held_out.crop_is_small_print[i] else ()
        if records:
            pictures = (("view", i, 0), ("crop", i, 0)) if with_crop else (("view", i, 0),)
            samples.append(Sample(pictures, [(r.question, r.answer) for r in records]))
            tasks.append([f"{r.task}+crop" if with_crop else r.task for r in records])
    if not samples:
        return
    packed = _packed(pieces, samples)
    with torch.no_grad():
        tokens = batch_tokens(model, gather_pixels(samples, held_out, None))
        hits = _answer_hits(model, packed, tokens.flatten(0, 1))
    for row, (sample_tasks, sample) in enumerate(zip(tasks, samples, strict=True)):
        at = len(pieces.head(len(sample.pictures)))
        for task, (question, answer) in zip(sample_tasks, sample.pairs, strict=True):
            branch, asked = pieces.branch(question, answer)
            mark = bool(hits[row, at + asked - 1 : at + len(branch) - 1].all())
            right.setdefault(task, []).append(mark)
            at += len(branch)


def _answer_hits(model: Any, batch: PackedBatch, visual: Tensor) -> Tensor:
    """(B, T) bool: the first choice at each position is the target."""
    text = model.model.text_model
    embeds = text.get_input_embeddings()(batch.ids)
    places = (batch.ids == model.config.image_token_id).unsqueeze(-1)
    embeds = embeds.masked_scatter(places, visual.to(embeds.dtype))
    hidden = text(
        inputs_embeds=embeds, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    found: Tensor = model.lm_head(hidden).argmax(-1) == batch.targets
    return found
