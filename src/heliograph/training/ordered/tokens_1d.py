"""``heliograph train strategy tokens-1d``: registers, codebooks and the decoder, from frozen model and scenes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.training.ordered.answering import Classroom, prefixes, relative
from heliograph.training.ordered.network import RegisterCoder

_BATCH, _ASKED_BATCH, _QUESTIONS = 48, 16, 6
_TOKEN_WEIGHT, _COMMITMENT = 2.0, 0.25
_STRAIGHT_SHARE = 0.03  # of the learning rate, for what starts near where it belongs
_REPORTED, _REPORTED_CODES = 40, (4, 8, 16, 32)


class RegisterLesson:
    """A :class:`heliograph.training.ordered.loop.Lesson`.

    Args:
        coder: greedily started.
        room: pictures and the model that answers.
        first_asks: share of the run that learns tokens alone.
    """

    def __init__(self, coder: RegisterCoder, room: Classroom, first_asks: float = 0.4) -> None:
        self.module, self._room, self.first_asks = coder, room, first_asks
        self._seen: tuple[Tensor, Tensor] | None = None

    def groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate."""
        coder = self.module
        slow = [coder.encoder.straight, coder.encoder.look, coder.decoder.straight, coder.decoder.tell]
        fast = [one for one in coder.parameters() if all(one is not other for other in slow)]
        return [{"params": fast, "share": 1.0}, {"params": slow, "share": _STRAIGHT_SHARE, "weight_decay": 0.0}]

    def loss(self, rng: np.random.Generator, *, asks: bool) -> tuple[Tensor, dict[str, float]]:
        """Token error at a prefix, commitment to the codewords, and what the answers diverge."""
        room, sizes = self._room, self.module.sizes
        rows = room.asked_rows(rng, _ASKED_BATCH) if asks else room.any_rows(rng, _BATCH)
        features = room.features(rows)
        restored, values, codes = self.module(features, prefixes(rng, len(rows), sizes.codes))
        self._seen = values.detach(), codes
        error = relative(restored, features)
        drift = (values - self.module.words_of(codes)).square().sum((1, 2)).mean() / features[0].numel()
        loss = _TOKEN_WEIGHT * error + _COMMITMENT * drift
        found = {"token error": float(error.detach())}
        if asks:
            asked = room.some_questions(rng, rows, _QUESTIONS)
            divergence = room.divergence(asked, rows, restored)
            loss, found["divergence"] = loss + divergence, float(divergence.detach())
        return loss, found

    def stepped(self) -> None:
        """Codebooks follow what they were given."""
        if self._seen is not None:
            self.module.books.follow(*self._seen)

    @torch.no_grad()
    def figures(self) -> str:
        """Error and agreement of held-out pictures by number of codes."""
        features = self._room.held_out(_REPORTED)
        _, codes = self.module.encoder(features, self.module.books, self.module.decoder.tell)
        words, found = self.module.words_of(codes), []
        for count in (one for one in _REPORTED_CODES if one <= self.module.sizes.codes):
            known = (torch.arange(self.module.sizes.codes) < count).expand(len(features), -1)
            restored = self.module.decoder(words, known)
            agreement = self._room.agreement(restored, self._room.dev.asked[:_REPORTED])
            found.append(f"{count}: error {float(relative(restored, features)):.3f} agreement {agreement:.3f}")
        return "  ".join(found)
