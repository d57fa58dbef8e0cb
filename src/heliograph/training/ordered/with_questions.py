"""``heliograph train strategy side-info`` and ``question-coded``: what knows the question learns, ``meta`` stays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.codec.question_words import question_words
from heliograph.training.meta.network import Coder, rounded
from heliograph.training.ordered.answering import Classroom, Pair, prefixes, relative
from heliograph.training.ordered.questions import QuestionAdapter, SideDecoder

_BATCH = 24
_TOKEN_WEIGHT = 0.5
_ADAPTED_TOKEN_WEIGHT = 0.1
_BYTE_WEIGHT = 0.006  # nats that a byte of the prefix is worth, about what one buys of plain prefixes at 60 bytes
_REPORTED, _REPORTED_LATENTS = 30, (4, 8, 16, 28)


def words_of(pairs: list[Pair]) -> Tensor:
    """(B, L) int64."""
    return torch.from_numpy(np.concatenate([question_words(pair.asked[0]) for pair in pairs]))


class LogisticRate:
    """Bits of latents, by a logistic of each one's own centre and spread: differentiable, near what tables ask for.

    Args:
        values: (I, K, c) integers of training pictures.
    """

    def __init__(self, values: Tensor) -> None:
        self._centre = values.mean(0)  # (K, c)
        self._scale = (values.std(0) * math.sqrt(3) / math.pi).clamp(min=0.2)

    def bits(self, values: Tensor) -> Tensor:
        """(B, K, c) integers or values with noise to (B, K) bits."""
        upper = torch.sigmoid((values + 0.5 - self._centre) / self._scale)
        lower = torch.sigmoid((values - 0.5 - self._centre) / self._scale)
        return -torch.log2((upper - lower).clamp(min=1e-6)).sum(-1)


class _AskingLesson:
    """What both lessons share: pairs of pictures and questions, held-out ones for figures."""

    first_asks = 0.0

    def __init__(self, coder: Coder, room: Classroom) -> None:
        self._coder, self._room = coder, room
        self._held = [Pair(row, asked) for row, own in enumerate(room.dev.asked[:_REPORTED]) for asked in own]

    def _held_out(self) -> tuple[Tensor, Tensor]:
        """(B, N, R) features of the held-out pairs, and their words."""
        features = self._room.held_out(_REPORTED)[[pair.picture for pair in self._held]]
        return features, words_of(self._held)

    def _agreement(self, restored: Tensor) -> float:
        return self._room.agreement(restored, [[pair.asked] for pair in self._held])

    def _known(self, count: int, batch: int) -> Tensor:
        return (torch.arange(self._coder.encoder.sizes.latents) < count).expand(batch, -1)

    def stepped(self) -> None:
        """Nothing follows a step."""


class SideLesson(_AskingLesson):
    """The cloud's half: a :class:`heliograph.training.ordered.loop.Lesson`.

    Args:
        side: to be trained.
        coder: of ``meta``, frozen.
        room: pictures and the model that answers.
    """

    def __init__(self, side: SideDecoder, coder: Coder, room: Classroom) -> None:
        super().__init__(coder, room)
        self.module = side

    def groups(self) -> list[dict[str, Any]]:
        """All at one rate."""
        return [{"params": list(self.module.parameters()), "share": 1.0}]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> tuple[Tensor, dict[str, float]]:
        """What answers diverge from corrected prefixes, and the token error."""
        room = self._room
        pairs = room.pairs(rng, _BATCH)
        rows = np.asarray([pair.picture for pair in pairs])
        features = room.features(rows)
        known = prefixes(rng, len(pairs), self._coder.encoder.sizes.latents)
        with torch.no_grad():
            plain = self._coder.decoder(self._coder.encoder(features).round(), known)
        restored = self.module(plain, known.float().mean(1), words_of(pairs))
        error = relative(restored, features)
        divergence = room.divergence([[pair.asked] for pair in pairs], rows, restored)
        return divergence + _TOKEN_WEIGHT * error, {
            "divergence": float(divergence.detach()),
            "token error": float(error.detach()),
        }

    @torch.no_grad()
    def figures(self) -> str:
        """Agreement of held-out pairs by latents, before and after the correction."""
        features, words = self._held_out()
        latents, found = self._coder.encoder(features).round(), []
        for count in _REPORTED_LATENTS:
            known = self._known(count, len(features))
            plain = self._coder.decoder(latents, known)
            corrected = self.module(plain, known.float().mean(1), words)
            found.append(f"{count}: {self._agreement(plain):.3f} -> {self._agreement(corrected):.3f}")
        return "  ".join(found)


class AdapterLesson(_AskingLesson):
    """The device's half: a :class:`heliograph.training.ordered.loop.Lesson`.

    Args:
        adapter: to be trained.
        coder: of ``meta``, frozen.
        room: pictures and the model that answers.
        rate: of its latents.
    """

    def __init__(self, adapter: QuestionAdapter, coder: Coder, room: Classroom, rate: LogisticRate) -> None:
        super().__init__(coder, room)
        self.module, self._rate = adapter, rate

    def groups(self) -> list[dict[str, Any]]:
        """All at one rate."""
        return [{"params": list(self.module.parameters()), "share": 1.0}]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> tuple[Tensor, dict[str, float]]:
        """What answers diverge, the bytes of the prefix, and a little of the token error."""
        room = self._room
        pairs = room.pairs(rng, _BATCH)
        rows = np.asarray([pair.picture for pair in pairs])
        features = room.features(rows)
        known = prefixes(rng, len(pairs), self._coder.encoder.sizes.latents)
        values = self._coder.encoder(self.module(features, words_of(pairs)))  # (B, K, c)
        noise = torch.rand(values.shape) - 0.5
        size = (self._rate.bits(values + noise) * known).sum(1).mean() / 8
        restored = self._coder.decoder(rounded(values), known)
        error = relative(restored, features)
        divergence = room.divergence([[pair.asked] for pair in pairs], rows, restored)
        loss = divergence + _BYTE_WEIGHT * size + _ADAPTED_TOKEN_WEIGHT * error
        return loss, {
            "divergence": float(divergence.detach()),
            "bytes": float(size.detach()),
            "token error": float(error.detach()),
        }

    @torch.no_grad()
    def figures(self) -> str:
        """Bytes and agreement of held-out pairs by latents, without and with the question."""
        features, words = self._held_out()
        found = []
        both = self._coder.encoder(features).round(), self._coder.encoder(self.module(features, words)).round()
        for count in _REPORTED_LATENTS:
            known = self._known(count, len(features))
            shown = []
            for latents in both:
                size = float((self._rate.bits(latents) * known).sum(1).mean()) / 8
                shown.append(f"{size:.0f} B {self._agreement(self._coder.decoder(latents, known)):.3f}")
            found.append(f"{count}: {' -> '.join(shown)}")
        return "  ".join(found)
