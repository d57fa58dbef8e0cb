"""Held-out pictures through the autoencoder: rate against token error, and against the frozen model's answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.training.meta.data import MetaData, Rows, pictures_at_once
from heliograph.training.meta.network import Coder, TokenSpace
from heliograph.training.meta.teacher import FrozenModel, OwnAnswer
from heliograph.types import VisualTokens

_SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)  # of the latents, for the figure that early stopping goes by


@dataclass(frozen=True)
class RatePoint:
    """Means over held-out pictures at one budget.

    Attributes:
        bytes: that the training's rate model asks for.
        error: squared error of the restored features as a share of their mean square.
        agreement: share of questions with the uncompressed tokens' answer.
        divergence: of the answers' distribution, in nats per answer token; None where it was not asked for.
    """

    bytes: float
    error: float
    agreement: float
    divergence: float | None = None

    @property
    def text(self) -> str:
        """A summary in a few words."""
        diverging = "" if self.divergence is None else f" divergence {self.divergence:.3f}"
        return f"{self.bytes:.0f} B: error {self.error:.3f} agreement {self.agreement:.3f}{diverging}"


def packed(model: FrozenModel, asked: Sequence[Sequence[OwnAnswer]], data: MetaData, pictures: Rows) -> Any:
    """The frozen model's batch of so many pictures' questions."""
    return model.pack(asked, data.grids_of(pictures))


class Examination:
    """What the held-out pictures say.

    Args:
        coder: as it is trained at the moment.
        space: tokens to features, on the same device.
        data: held-out pictures.
        teacher: the frozen model.
        device: of coder and space.
    """

    def __init__(
        self, coder: Coder, space: TokenSpace, data: MetaData, teacher: FrozenModel, device: torch.device
    ) -> None:
        self._coder, self._space, self._data, self._teacher = coder, space, data, teacher
        self._device = device

    @torch.no_grad()
    def points(self, budgets: Sequence[int], most: int, *, diverging: bool) -> list[RatePoint]:
        """Rate points of the first ``most`` pictures, cut at budgets in bytes per tile."""
        pictures = np.arange(min(most, len(self._data)))
        tiles = float(self._data.tile_counts[pictures].mean())
        latents = self._latents(pictures)  # (tiles, K, c)
        running = self._bits(pictures, latents).cumsum(dim=1)  # (pictures, K)
        found = []
        for budget in budgets:
            known = running <= 8 * budget * tiles
            used = (running * known).max(dim=1).values.mean() / 8
            found.append(self._judged(pictures, latents, known, float(used), diverging=diverging))
        return found

    @torch.no_grad()
    def at_latents(self, count: int) -> tuple[float, float]:
        """(mean bytes, agreement) of all pictures of whose tiles the leading ``count`` latents are known."""
        pictures = np.arange(len(self._data))
        latents = self._latents(pictures)
        known = self._leading(count, len(pictures))
        used = (self._bits(pictures, latents) * known).sum(dim=1).mean() / 8
        point = self._judged(pictures, latents, known, float(used), diverging=False)
        return point.bytes, point.agreement

    @torch.no_grad()
    def rate_and_error(self) -> tuple[float, float]:
        """Mean bytes of all pictures' whole streams, and the mean token error at an eighth of the latents to all."""
        pictures = np.arange(len(self._data))
        latents = self._latents(pictures)
        used = self._bits(pictures, latents).sum(dim=1).mean() / 8
        total = latents.shape[1]
        errors = []
        for share in _SHARES:
            known = self._leading(max(1, round(share * total)), len(pictures))
            errors.append(sum(error for _, _, error in self._restored(pictures, latents, known)) / self._energy)
        return float(used), float(np.mean(errors))

    # ---- parts -------------------------------------------------------------------------------------
    def _leading(self, count: int, pictures: int) -> Tensor:
        latents = self._coder.encoder.sizes.latents
        return (torch.arange(latents, device=self._device) < count).expand(pictures, -1)  # (pictures, K)

    @cached_property
    def _together(self) -> int:
        """Pictures that are restored together."""
        return pictures_at_once(self._data.tokens[0].numel() * int(self._data.tile_counts.max()))

    def _parts(self, pictures: Rows) -> Iterator[Rows]:
        for start in range(0, len(pictures), self._together):
            yield pictures[start : start + self._together]

    def _features(self, pictures: Rows) -> Tensor:
        """(tiles, N, R) of a few pictures."""
        rows = torch.from_numpy(self._data.rows_of(pictures))
        return self._space.features(self._data.tokens[rows].float().to(self._device))

    @cached_property
    def _energy(self) -> float:
        """Sum of squares of all pictures' features."""
        return self._energy_of(np.arange(len(self._data)))

    def _energy_of(self, pictures: Rows) -> float:
        return max(sum(float(self._features(part).square().sum()) for part in self._parts(pictures)), 1e-30)

    def _latents(self, pictures: Rows) -> Tensor:
        """(tiles, K, c) integers."""
        return torch.cat([self._coder.encoder(self._features(part)).round() for part in self._parts(pictures)])

    def _owners(self, pictures: Rows) -> Tensor:
        """(tiles,) whose each tile is, counted among these pictures."""
        counts = self._data.tile_counts[pictures]
        return torch.from_numpy(np.repeat(np.arange(len(pictures)), counts)).to(self._device)

    def _bits(self, pictures: Rows, latents: Tensor) -> Tensor:
        """(pictures, K) bits of all tiles' latents of one rank together."""
        bits = self._coder.rate(latents)  # (tiles, K)
        whole = torch.zeros(len(pictures), bits.shape[1], device=self._device)
        return whole.index_add(0, self._owners(pictures), bits)

    def _restored(self, pictures: Rows, latents: Tensor, known: Tensor) -> Iterator[tuple[Rows, Tensor, float]]:
        """A few pictures at a time: which, their (tiles, N, R) restored features, the sum of their squared errors."""
        known, row = known[self._owners(pictures)], 0  # (tiles, K)
        for part in self._parts(pictures):
            features = self._features(part)
            rows = slice(row, row + len(features))
            restored = self._coder.decoder(latents[rows], known[rows])
            row += len(features)
            yield part, restored, float((restored - features).square().sum())

    def _judged(self, pictures: Rows, latents: Tensor, known: Tensor, used: float, *, diverging: bool) -> RatePoint:
        same: list[bool] = []
        errors, divergences = 0.0, []
        for part, restored, error in self._restored(pictures, latents, known):
            errors += error
            tokens = self._space.tokens(restored)  # (tiles, N, D)
            same += self._agreements(part, tokens)
            divergences += self._divergences(part, tokens) if diverging else []
        agreement = float(np.mean(same)) if same else 0.0
        divergence = float(np.mean(divergences)) if divergences else None
        return RatePoint(used, errors / self._energy_of(pictures), agreement, divergence)

    def _agreements(self, pictures: Rows, restored: Tensor) -> list[bool]:
        asked = [self._data.asked[i] for i in pictures]
        parts = torch.split(restored.cpu(), self._data.tile_counts[pictures].tolist())
        grids = self._data.grids_of(pictures)
        tokens = [
            VisualTokens(np.ascontiguousarray(one.flatten(0, 1).numpy()), grid)
            for one, grid in zip(parts, grids, strict=True)
        ]
        again = self._teacher.own_answers(tokens, [[question for question, _ in own] for own in asked])
        return [a == b for own, new in zip(asked, again, strict=True) for a, b in zip(own, new, strict=True)]

    def _divergences(self, pictures: Rows, restored: Tensor) -> list[float]:
        """Divergence of each picture with questions."""
        found = []
        parts = torch.split(restored, self._data.tile_counts[pictures].tolist())
        for picture, one in zip(pictures, parts, strict=True):
            own = self._data.asked[picture]
            if not own:
                continue
            alone = np.asarray([picture])
            exact = self._data.tokens[torch.from_numpy(self._data.rows_of(alone))].float().to(self._device)
            found.append(float(self._teacher.distance(packed(self._teacher, [own], self._data, alone), exact, one)))
        return found
