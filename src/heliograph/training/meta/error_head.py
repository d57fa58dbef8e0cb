"""Trains the error head on pictures that the autoencoder has never seen, and says how far it can be trusted.

Every picture is cut at some prefixes, the frozen model answers its questions from each, and the head learns the token
error and which answers differed from those of the uncompressed tokens. No labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from heliograph.codec.expectation import ErrorHead, feature_count, prefix_features, question_features
from heliograph.errors import CodecNotFittedError
from heliograph.training.meta.data import MetaData, pictures_at_once
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, TokenSpace
from heliograph.training.meta.teacher import FrozenModel
from heliograph.types import VisualTokens

_CUTS = 6  # per picture
_TOGETHER = 8  # pictures that are answered in one batch
_HIDDEN = 32
_STEPS, _BATCH, _RATE, _DECAY = 8000, 256, 2e-3, 3e-2
_NO_QUESTION = 0.5  # of the samples, so that the head can do without one
_ERROR_WEIGHT = 0.3
_REPORT_SHARE = 4  # the last quarter of the pictures reports
_BINS = 10

Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """Samples, one per picture, cut and question.

    Attributes:
        picture, count: (S,) which picture, how many latents of each tile.
        prefix: (S, 3 + K) float32.
        question: (S, 64) float32.
        error: (S,) float32 logarithm of the token error.
        differs: (S,) float32, 1 where the answer was another one.
    """

    picture: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    prefix: Float
    question: Float
    error: Float
    differs: Float

    def where(self, chosen: npt.NDArray[np.bool_]) -> Judged:
        """A selection of the samples."""
        return Judged(
            self.picture[chosen],
            self.count[chosen],
            self.prefix[chosen],
            self.question[chosen],
            self.error[chosen],
            self.differs[chosen],
        )


@dataclass(frozen=True)
class _Cuts:
    """One picture at several prefixes: (T, K, c) integers, restored tokens and the logarithm of their error."""

    picture: int
    integers: npt.NDArray[np.int64]
    counts: list[int]
    errors: list[float]
    restored: list[VisualTokens]


def _cut(
    space: TokenSpace,
    encoder: MetaEncoder,
    decoder: MetaDecoder,
    data: MetaData,
    index: int,
    rng: np.random.Generator,
) -> _Cuts:
    rows = torch.from_numpy(data.rows_of(np.asarray([index])))
    tiles, latents = len(rows), encoder.sizes.latents
    whole = tiles * latents
    counts = [whole, *rng.integers(0, whole + 1, size=_CUTS - 1).tolist()]
    features = space.features(data.tokens[rows].float())  # (T, N, R)
    integers = encoder(features).round()  # (T, K, c)
    order = torch.arange(latents)[None] * tiles + torch.arange(tiles)[:, None]  # (T, K)
    known = order < torch.tensor(counts)[:, None, None]  # (cuts, T, K)
    restored = decoder(integers.repeat(len(counts), 1, 1), known.flatten(0, 1))  # (cuts * T, N, R)
    errors = (restored - features.repeat(len(counts), 1, 1)).square().mean(dim=(1, 2))  # (cuts * T,)
    squares = errors.reshape(len(counts), tiles).mean(dim=1)  # (cuts,); an average photo's features have 1
    made = space.tokens(restored).reshape(len(counts), tiles * features.shape[1], -1)  # (cuts, T * N, D)
    tokens = [VisualTokens(one.numpy(), data.grid_of(index)) for one in made]
    logs = squares.clamp(min=1e-9).log().tolist()
    return _Cuts(index, integers.numpy().astype(np.int64), counts, logs, tokens)


@torch.no_grad()
def judge(
    teacher: FrozenModel, space: TokenSpace, encoder: MetaEncoder, decoder: MetaDecoder, data: MetaData, seed: int
) -> Judged:
    """Cut every picture at six random prefixes, one of them the whole stream, and answer its questions.

    Raises:
        CodecNotFittedError: no picture has a question.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    largest = data.tokens[0].numel() * int(data.tile_counts.max())
    together = pictures_at_once(_CUTS * largest, _TOGETHER)
    for start in range(0, len(data), together):
        pictures = range(start, min(start + together, len(data)))
        cuts = [_cut(space, encoder, decoder, data, index, rng) for index in pictures]
        asked = [[question for question, _ in data.asked[one.picture]] for one in cuts for _ in one.counts]
        answers = iter(teacher.own_answers([tokens for one in cuts for tokens in one.restored], asked))
        for one in cuts:
            for count, error in zip(one.counts, one.errors, strict=True):
                prefix = prefix_features(one.integers, count)
                each = -(-count // len(one.integers))
                for (question, wanted), (_, found) in zip(data.asked[one.picture], next(answers), strict=True):
                    rows.append((one.picture, each, prefix, question_features(question), error, wanted != found))
    if not rows:
        raise CodecNotFittedError
    columns = [np.asarray(column) for column in zip(*rows, strict=True)]
    return Judged(*columns[:4], *(column.astype(np.float32) for column in columns[4:]))


def fit_error_head(judged: Judged, seed: int) -> tuple[ErrorHead, dict[str, Any]]:
    """The head, learned on the first three quarters of the pictures, and its figures on the last quarter."""
    last = int(judged.picture.max())
    reporting = judged.picture > last - max(1, (last + 1) // _REPORT_SHARE) if last else judged.picture >= 0
    learning = judged.where(~reporting) if last else judged
    head = _learn(learning, seed)
    return head, report(head, judged.where(reporting))


def _learn(judged: Judged, seed: int) -> ErrorHead:
    torch.manual_seed(seed)
    latents = judged.prefix.shape[1] - 3
    net = nn.Sequential(nn.Linear(feature_count(latents), _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 2))
    prefix, question = torch.from_numpy(judged.prefix), torch.from_numpy(judged.question)
    error, differs = torch.from_numpy(judged.error), torch.from_numpy(judged.differs)
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for _ in range(_STEPS):
        rows = torch.randint(len(prefix), (min(_BATCH, len(prefix)),))
        asked = question[rows] * (torch.rand(len(rows), 1) >= _NO_QUESTION)
        made = net(torch.cat([prefix[rows], asked], dim=1))  # (B, 2)
        wrong = nn.functional.binary_cross_entropy_with_logits(made[:, 1], differs[rows])
        loss = wrong + _ERROR_WEIGHT * (made[:, 0] - error[rows]).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    first, second = net[0], net[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    return ErrorHead(_array(first.weight.T), _array(first.bias), _array(second.weight.T), _array(second.bias))


def _array(values: Tensor) -> Float:
    return np.ascontiguousarray(values.detach().numpy(), dtype=np.float32)


def report(head: ErrorHead, judged: Judged) -> dict[str, Any]:
    """What the head is worth on pictures it has not learned from.

    Returns:
        JSON values: AUROC of "answer will differ" with and without the question, correlation of predicted and real
        token error (of logarithms), the bins of a reliability diagram as (predicted, found, samples), and per stretch
        of prefixes the same.
    """
    hidden = np.maximum(np.hstack([judged.prefix, judged.question]) @ head.hidden_weights + head.hidden_bias, 0)
    made = hidden @ head.out_weights + head.out_bias  # (S, 2)
    alone = np.maximum(judged.prefix @ head.hidden_weights[: judged.prefix.shape[1]] + head.hidden_bias, 0)
    odds_alone = (alone @ head.out_weights + head.out_bias)[:, 1]
    chance = 1 / (1 + np.exp(-made[:, 1]))
    latents = judged.prefix.shape[1] - 3
    stretches = []
    for low in range(0, latents, max(1, latents // 4)):
        high = low + max(1, latents // 4)
        part = (judged.count > low) & (judged.count <= high)
        if part.any():
            stretches.append(
                {
                    "latents": [low + 1, min(high, latents)],
                    "samples": int(part.sum()),
                    "differs": float(judged.differs[part].mean()),
                    "predicted": float(chance[part].mean()),
                    "auroc": auroc(made[part, 1], judged.differs[part]),
                    "error_correlation": correlation(made[part, 0], judged.error[part]),
                }
            )
    return {
        "pictures": len(np.unique(judged.picture)),
        "samples": len(judged.differs),
        "auroc": auroc(made[:, 1], judged.differs),
        "auroc_prefix_alone": auroc(odds_alone, judged.differs),
        "error_correlation": correlation(made[:, 0], judged.error),
        "reliability": reliability(chance, judged.differs),
        "stretches": stretches,
    }


def auroc(scores: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float | None:
    """Chance that a sample that is true scores above one that is not, ties counted half; None without both kinds."""
    true, false = scores[truth > 0.5], scores[truth <= 0.5]
    if not len(true) or not len(false):
        return None
    ordered = np.sort(false)
    below, upto = np.searchsorted(ordered, true, "left"), np.searchsorted(ordered, true, "right")
    return float((below + upto).mean() / 2 / len(false))


def correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float | None:
    """Pearson's; None where one of them does not vary."""
    if len(first) < 2 or min(np.ptp(first), np.ptp(second)) < 1e-9:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def reliability(chance: npt.NDArray[Any], truth: npt.NDArray[Any]) -> list[tuple[float, float, int]]:
    """Mean prediction, share found and samples for each tenth of the predicted chance that has samples."""
    which = np.clip((chance * _BINS).astype(int), 0, _BINS - 1)
    parts = [which == index for index in range(_BINS)]
    return [(float(chance[p].mean()), float(truth[p].mean()), int(p.sum())) for p in parts if p.any()]
