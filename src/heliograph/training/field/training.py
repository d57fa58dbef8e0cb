"""``heliograph train field``: what joins the pretrained halves, learnt twice in one resumable run.

::

    open-words   visual tokens near the embeddings of words for what is there, without the language model
    open         questions that the teacher answers, through the language model     --> alignment-open.safetensors
    --- from the beginning again ---
    words        the same as open-words, with words of captions among them
    captions     the teacher's questions, and sentences that people wrote
    evened       the same, kinds asked as often where they are as where they are not --> alignment.safetensors

The first half looks at photos of open licences alone, so that what captions for research have taught can be left out.
Both pretrained halves stay as they are but for low-rank additions to the language model's attention.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.training.field.alignment import (
    CAPTIONS_FILE,
    OPEN_FILE,
    LowRank,
    add_low_rank,
    collect,
    join_halves,
    save_alignment,
)
from heliograph.training.field.packed import PackedReader
from heliograph.training.field.questions import SENTENCE, Known, Pair, QuestionMaker, sentence
from heliograph.training.field.words import WordPhase, scale_tokens, word_targets
from heliograph.training.files import replacing
from heliograph.types import Reporter

CHECKPOINT = "checkpoint.pt"

OPEN_WORDS, OPEN, WORDS, CAPTIONS, EVENED = "open-words", "open", "words", "captions", "evened"

PHASES = {OPEN_WORDS: 0.014, OPEN: 0.105, WORDS: 0.021, CAPTIONS: 0.56, EVENED: 0.30}
"""Shares of the minutes."""

_FILES = {OPEN: OPEN_FILE, EVENED: CAPTIONS_FILE}
_BY_WORDS = (OPEN_WORDS, WORDS)
_WITH_SENTENCES = (CAPTIONS, EVENED)

_WORD_BATCH, _BATCH = 32, 8
_RATES = {EVENED: 4e-4}  # of the other phases 1e-3
_RATE = 1e-3
_LOW_RANK_RATE = 0.5  # of the projector's
_WARM_UP_STEPS = 20
_CAPTIONS, _QUESTIONS = 2, 6  # of one photo in one step
_PLAIN_SHARE = 0.25  # photos without captions in a batch of the last phase
_QUESTION_WEIGHT = 2.0
"""Of a token of an answer, over a token of a sentence; both as means, for most tokens are those of sentences. Half of
an answer's tokens are ends, which cost nothing after a few steps."""
_DROPOUT = 0.3
_DECAY = 0.05
_SAVE_EVERY_S = 60.0


@dataclass
class FieldState:
    """Where a run is: what the checkpoint and the card hold beside the weights."""

    seed: int
    rank: int
    phase: str = OPEN_WORDS
    phase_seconds: float = 0.0
    steps: dict[str, int] = field(default_factory=dict)
    minutes: dict[str, float] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LearntFrom:
    """Photos of one kind.

    Attributes:
        known: of each.
        cells: (I, V, N, 1280) float16, see :class:`heliograph.training.field.cells.Looked`.
    """

    known: Sequence[Known]
    cells: Tensor


class FieldRun:
    """One run.

    Args:
        model, tokenizer: the field LLaVA as it was assembled from parts, without an alignment.
        plain, captioned: photos without and with captions, to learn from.
        out: folder of checkpoint and results.
        seed: of weights, batches and questions.
        rank: of the additions.
        progress: receives a line a minute.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        plain: LearntFrom,
        captioned: LearntFrom,
        out: Path,
        *,
        seed: int = 0,
        rank: int = 8,
        progress: Reporter = print,
    ) -> None:
        self._out, self._progress, self._tokenizer = out, progress, tokenizer
        self.model, self.reader = model, PackedReader(model, tokenizer)
        self._plain, self._captioned = plain, captioned
        self._cells = torch.cat([plain.cells, captioned.cells])
        self._known = [*plain.known, *captioned.known]
        self.state = FieldState(seed, rank)
        self._additions = add_low_rank(model, rank, seed)
        self._halves = join_halves(model)
        self._begin()
        self._halves.requires_grad_(True)
        model.model.vision_tower.positions.requires_grad_(True)
        self._open_questions = QuestionMaker(_vocabulary(plain.known))
        self._questions = QuestionMaker(_vocabulary(self._known))
        self._evened_questions = QuestionMaker(_vocabulary(self._known), self._known)
        self._optimiser_state: dict[str, Any] | None = None
        if (out / CHECKPOINT).is_file():
            self._load()

    # ---- what is trained ---------------------------------------------------------------------------------
    def weights(self) -> dict[str, Tensor]:
        """Everything that is trained, as the files hold it: float32, by name."""
        return collect(self.model, self._additions)

    def _groups(self) -> list[dict[str, Any]]:
        between = [*self._halves.parameters(), self.model.model.vision_tower.positions]
        low_rank = [value for one in self._additions.values() for value in (one.down, one.up)]
        groups = [{"params": between, "weight_decay": _DECAY, "part": 1.0}]
        if self.state.phase not in _BY_WORDS:
            groups.append({"params": low_rank, "weight_decay": 0.0, "part": _LOW_RANK_RATE})
        return groups

    # ---- the run -----------------------------------------------------------------------------------------
    def run(self, minutes: float) -> Path:
        """All phases that are left; the folder with both files.

        Args:
            minutes: of optimisation, of which those spent before a checkpoint are a part.

        Raises:
            OutputUnwritableError: the disk refuses.
        """
        names = list(PHASES)
        for name in names[names.index(self.state.phase) :]:
            if name != self.state.phase:
                self.state.phase, self.state.phase_seconds, self._optimiser_state = name, 0.0, None
                if name == WORDS:
                    self._begin()
            (self._words if name in _BY_WORDS else self._read)(60 * minutes * PHASES[name])
            if name in _FILES:
                save_alignment(self._out / _FILES[name], self.weights())
        return self._out

    def _begin(self) -> None:
        """Weights as they are before anything is learnt."""
        _draw_projector(self.model, self.state.seed)
        with torch.no_grad():
            self._halves["norm"].reset_parameters()  # type: ignore[operator]
            self.model.model.vision_tower.positions.zero_()
            for one in self._additions.values():
                one.up.zero_()

    def _words(self, budget_s: float) -> None:
        shown = len(self._plain.known) if self.state.phase == OPEN_WORDS else len(self._known)
        phase = WordPhase(word_targets(self._known[:shown], self._tokenizer), self._embeddings)
        groups = [*self._groups(), {"params": list(phase.parameters()), "weight_decay": 0.0, "part": 1.0}]

        def step(rng: np.random.Generator) -> Tensor:
            rows = rng.choice(shown, min(_WORD_BATCH, shown), replace=False).tolist()
            return phase.loss(self._seen(rows, rng), rows)

        self._optimise(groups, step, budget_s)
        first = self._cells[:64, 0].float()
        length = float(self._embeddings.norm(dim=-1).mean())
        scale_tokens(self.model.model.multi_modal_projector, lambda: self.reader.tokens(first), length)

    def _read(self, budget_s: float) -> None:
        def step(rng: np.random.Generator) -> Tensor:
            rows = self._rows(rng)
            asked = [self._asked(row, rng) for row in rows]
            losses = self.reader.losses(self.reader.pack(asked), self._seen(rows, rng))
            in_sentences = self._of_sentences(asked)
            means = ((losses[in_sentences], 1.0), (losses[~in_sentences], _QUESTION_WEIGHT))
            return torch.stack([weight * part.mean() for part, weight in means if len(part)]).sum()

        self._optimise(self._groups(), step, budget_s)

    def _optimise(self, groups: list[dict[str, Any]], step: Any, budget_s: float) -> None:
        phase = self.state.phase
        rate = _RATES.get(phase, _RATE)
        parameters = [one for group in groups for one in group["params"]]
        optimiser = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
        if self._optimiser_state is not None:
            optimiser.load_state_dict(self._optimiser_state)
        count = self.state.steps.get(phase, 0)
        rng = np.random.default_rng((self.state.seed, list(PHASES).index(phase), count))
        torch.manual_seed(self.state.seed + count)  # of dropout
        started, saved, recent = time.monotonic() - self.state.phase_seconds, time.monotonic(), []
        while (elapsed := time.monotonic() - started) < budget_s:
            for group in optimiser.param_groups:
                group["lr"] = group["part"] * _rate(rate, count, elapsed / budget_s)
            loss = step(rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            count += 1
            recent.append(float(loss.detach()))
            if time.monotonic() - saved > _SAVE_EVERY_S:
                saved = time.monotonic()
                self._note(count, elapsed, float(np.mean(recent[-50:])), budget_s)
                self._save(optimiser)
        if recent:  # else the phase's minutes were spent before, and what is stored says so
            self._note(count, min(elapsed, budget_s), float(np.mean(recent[-50:])), budget_s)
            self._save(optimiser)

    # ---- batches -----------------------------------------------------------------------------------------
    @property
    def _embeddings(self) -> Tensor:
        found: Tensor = self.model.model.language_model.embed_tokens.weight
        return found.detach()

    def _rows(self, rng: np.random.Generator) -> list[int]:
        """Places of the photos of one step."""
        plain, captioned = len(self._plain.known), len(self._captioned.known)
        few = _BATCH if self.state.phase == OPEN else round(_BATCH * _PLAIN_SHARE)
        rows: list[int] = rng.choice(plain, min(few, plain), replace=False).tolist()
        if self.state.phase in _WITH_SENTENCES:
            rows += (plain + rng.choice(captioned, min(_BATCH - few, captioned), replace=False)).tolist()
        return rows

    def _asked(self, row: int, rng: np.random.Generator) -> list[Pair]:
        known = self._known[row]
        makers = {OPEN: self._open_questions, EVENED: self._evened_questions}
        asked = makers.get(self.state.phase, self._questions).draw(known, rng, _QUESTIONS)
        if known.photo.captions and self.state.phase in _WITH_SENTENCES:
            asked += [sentence(known.photo, rng) for _ in range(_CAPTIONS)]
        return asked

    def _of_sentences(self, asked: Sequence[Sequence[Pair]]) -> Tensor:
        """(K,) bool, for each token of all answers in the order of a batch, whether it is one of a sentence."""
        lengths = [
            (question in SENTENCE, self.reader.answer_tokens(answer)) for pairs in asked for question, answer in pairs
        ]
        return torch.tensor([in_sentences for in_sentences, length in lengths for _ in range(length)])

    def _seen(self, rows: Sequence[int], rng: np.random.Generator) -> Tensor:
        """(B, N, D) visual tokens, of one view of every photo, a part of the numbers left out."""
        views = rng.integers(self._cells.shape[1], size=len(rows))
        cells = self._cells[list(rows), views].float()  # (B, N, 1280)
        tower, projector = self.model.model.vision_tower, self.model.model.multi_modal_projector
        normed = functional.dropout(tower.norm(cells) + tower.positions, _DROPOUT)
        hidden = functional.dropout(projector.act(projector.linear_1(normed)), _DROPOUT)
        found: Tensor = projector.linear_2(hidden)
        return found

    # ---- going on ----------------------------------------------------------------------------------------
    def _note(self, count: int, elapsed: float, loss: float, budget_s: float) -> None:
        state = self.state
        state.steps[state.phase], state.phase_seconds = count, elapsed
        state.minutes[state.phase], state.losses[state.phase] = round(elapsed / 60, 2), round(loss, 4)
        left = max(0.0, budget_s - elapsed) / 60
        self._progress(f"{state.phase}: step {count}, loss {loss:.3f}, {elapsed / 60:.1f} min, {left:.0f} min left")

    def _save(self, optimiser: torch.optim.Optimizer) -> None:
        saved = {"weights": self.weights(), "optimiser": optimiser.state_dict(), "state": asdict(self.state)}
        with replacing(self._out / CHECKPOINT) as fresh:
            torch.save(saved, fresh)

    def _load(self) -> None:
        saved = torch.load(self._out / CHECKPOINT, weights_only=True)
        self.state = FieldState(**saved["state"])
        self._optimiser_state = saved["optimiser"]
        with torch.no_grad():
            _take(self.model, self._additions, saved["weights"])
        self._progress(f"going on from {self.state.phase}, step {self.state.steps.get(self.state.phase, 0)}")


def _take(model: Any, additions: Mapping[str, LowRank], weights: Mapping[str, Tensor]) -> None:
    join_halves(model).load_state_dict({n: v for n, v in weights.items() if n.startswith(("norm.", "projector."))})
    model.model.vision_tower.positions.copy_(weights["positions"])
    for name, added in additions.items():
        added.down.copy_(weights[f"{name}.down"])
        added.up.copy_(weights[f"{name}.up"])


def _draw_projector(model: Any, seed: int) -> None:
    """A projector whose tokens have lengths of word embeddings' kind; transformers' own draw makes them tiny."""
    generator = torch.Generator().manual_seed(seed)
    projector = model.model.multi_modal_projector
    for layer in (projector.linear_1, projector.linear_2):
        layer.weight.data.normal_(0, layer.in_features**-0.5, generator=generator)
        layer.bias.data.zero_()


def _vocabulary(known: Sequence[Known]) -> list[str]:
    """Things that are seen at all in the photos at hand."""
    return sorted({thing.name for one in known for thing in one.things})


def _rate(peak: float, step: int, share: float) -> float:
    """Linear warm-up, then a cosine to a fiftieth of the peak."""
    warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
