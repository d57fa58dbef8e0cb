"""What lessons share: batches of pictures, what the model makes of restored tokens, prefixes for nested dropout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from heliograph.training.meta.data import MetaData, Rows
from heliograph.training.meta.network import TokenSpace
from heliograph.training.meta.teacher import OwnAnswer, Teacher
from heliograph.types import VisualTokens

_SHORT, _SHORT_SHARE = 8, 0.9  # tokens of an answer; of the batches
_WHOLE_SHARE = 0.15  # of the prefixes that are all there is


@dataclass(frozen=True)
class Pair:
    """A picture and one question about it."""

    picture: int
    asked: OwnAnswer


class Classroom:
    """Training and held-out pictures with the model that answers.

    Args:
        teacher: frozen.
        data: pictures; the first part of them is held out.
        space: tokens to features.
    """

    def __init__(self, teacher: Teacher, data: MetaData, space: TokenSpace) -> None:
        self.teacher, self.space, self.grid = teacher, space, data.grid
        self.train, self.dev = data.split()

    @cached_property
    def _asked(self) -> Rows:
        return np.flatnonzero([len(own) > 0 for own in self.train.asked])

    @cached_property
    def _features(self) -> Tensor:
        """(I, N, R) float16 of all training pictures."""
        parts = torch.split(self.train.tokens, 256)
        return torch.cat([self.space.features(part.float()).half() for part in parts])

    def all_features(self) -> Tensor:
        """(I, N, R) of all training pictures."""
        return self._features.float()

    def any_rows(self, rng: np.random.Generator, count: int) -> Rows:
        """Pictures, asked about or not."""
        return rng.integers(len(self.train.tokens), size=count)

    def asked_rows(self, rng: np.random.Generator, count: int) -> Rows:
        """Pictures with questions."""
        return self._asked[rng.integers(len(self._asked), size=count)]

    def pairs(self, rng: np.random.Generator, count: int) -> list[Pair]:
        """Pictures with one of their questions each; in most batches one with a short answer, since a long one costs
        every other of its batch as much."""
        found = []
        longest = _SHORT if rng.random() < _SHORT_SHARE else None
        for row in self.asked_rows(rng, count).tolist():
            own = self.train.asked[row]
            own = [one for one in own if longest is None or len(one[1]) <= longest] or own
            found.append(Pair(row, own[int(rng.integers(len(own)))]))
        return found

    def features(self, rows: Rows) -> Tensor:
        """(B, N, R)."""
        return self._features[torch.from_numpy(rows)].float()

    def held_out(self, count: int) -> Tensor:
        """(B, N, R) of the first held-out pictures."""
        return self.space.features(self.dev.tokens[:count].float())

    def divergence(self, asked: list[list[OwnAnswer]], rows: Rows, restored: Tensor) -> Tensor:
        """How far answers from (B, N, R) restored features diverge, in nats per token."""
        exact = self.train.tokens[torch.from_numpy(rows)].float()
        return self.teacher.distance(self.teacher.pack(asked), exact, self.space.tokens(restored))

    def some_questions(self, rng: np.random.Generator, rows: Rows, most: int) -> list[list[OwnAnswer]]:
        """A few questions of each picture."""
        found = []
        for row in rows.tolist():
            own = self.train.asked[row]
            found.append([own[i] for i in rng.permutation(len(own))[:most]])
        return found

    def agreement(self, restored: Tensor, asked: list[list[OwnAnswer]]) -> float:
        """Share of questions answered from (B, N, R) restored features as from uncompressed tokens."""
        tokens = [VisualTokens(np.ascontiguousarray(one.numpy()), self.grid) for one in self.space.tokens(restored)]
        again = self.teacher.own_answers(tokens, [[question for question, _ in own] for own in asked])
        same = [a == b for own, new in zip(asked, again, strict=True) for a, b in zip(own, new, strict=True)]
        return float(np.mean(same)) if same else 0.0


def prefixes(rng: np.random.Generator, batch: int, latents: int) -> Tensor:
    """(B, K) bool, nested dropout: lengths drawn log-uniformly for one half and uniformly for the other, some whole."""
    draw = rng.random(batch)
    length = np.where(rng.random(batch) < 0.5, latents**draw, latents * draw)
    length = np.where(rng.random(batch) < _WHOLE_SHARE, latents, np.clip(np.rint(length), 1, latents))
    return torch.arange(latents)[None] < torch.from_numpy(length)[:, None]


def relative(restored: Tensor, features: Tensor) -> Tensor:
    """Squared error as a share of the features' mean square."""
    return (restored - features).square().mean() / features.square().mean()
