"""Tokens to features for models of any width: leading directions in the metric of what the language model notices.

::

    a sample of tokens --principal components--> at most 1,024 directions (all of them where D is no more)
    own answers at roughly restored tokens --gradient--> what is noticed of each direction
    both --> R directions in which equal errors hurt equally

As the closed-form codec's channel transform (:mod:`heliograph.codec.fitting.fit`), but a matrix of D x D is never made:
with levels for deeper layers beside the tokens D is above ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from heliograph.codec.klt import KltCodec
from heliograph.errors import ShapeError
from heliograph.training.files import replacing
from heliograph.training.meta.data import MetaData, pictures_at_once
from heliograph.training.meta.general_teacher import Gradient
from heliograph.training.meta.network import TokenSpace
from heliograph.types import Reporter

Directions = tuple[Tensor, Tensor]
"""(D, R) analysis and (R, D) synthesis."""

_MAX_FEATURES, _MIN_FEATURES = 96, 8
_MAX_PLACES = 1 << 16  # features of a whole tile: bounds the linear paths
_SUBSPACE = 1024
_MAX_SAMPLED = 1 << 26  # values
_MAX_NOTICED = 48  # photos
_WORKING_SHARE = 0.85  # of the energy, as where the closed-form codec's gradients are taken
_FLOOR = 0.01  # part of the mean weight that every direction keeps
_MIN_SHARE = 1e-7  # of the largest energy; what lies below is rounding


def photo_space(
    gradient: Gradient, data: MetaData, device: torch.device, start: Path | None, progress: Reporter
) -> TokenSpace:
    """The fixed linear map between the tokens of a tile and its features, whose mean square is 1.

    Args:
        gradient: of the frozen model's answers, by the tokens.
        data: photos, the first ones with own answers.
        device: of the frozen model.
        start: folder of a fitted ``klt`` codec whose channel transform is taken; None fits one.
        progress: receives a line per stage.

    Raises:
        ShapeError: the codec in ``start`` was fitted for other tokens.
        BundleDamagedError: it cannot be read.
    """
    mean = _mean(data.tokens)
    most = max(_MIN_FEATURES, min(_MAX_FEATURES, _MAX_PLACES // data.tokens.shape[1]))
    if start is not None:
        forward, inverse = _of_codec(start, data.tokens.shape[2], most)
    else:
        forward, inverse = fitted_directions(gradient, data, mean, device, most, progress)
    plain = TokenSpace(mean, forward, inverse)
    parts = torch.split(data.tokens, pictures_at_once(data.tokens[0].numel()))
    squares = torch.cat([plain.features(part.float()).square().mean(dim=(1, 2)) for part in parts])
    size = squares.mean().sqrt().clamp(min=1e-12)
    return TokenSpace(mean, forward / size, inverse * size)


def kept_space(path: Path, tokens: Tensor, make: Callable[[], TokenSpace]) -> TokenSpace:
    """The space in a file, or a new one, which is written there: networks trained on one restore nothing in another.

    Raises:
        OutputUnwritableError: the disk refuses.
    """
    if path.exists():
        parts = torch.load(path, weights_only=True)
        if parts["mean"].shape == tokens.shape[1:]:
            return TokenSpace(parts["mean"], parts["analysis"], parts["synthesis"])
    space = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        torch.save({"mean": space.mean, "analysis": space.analysis, "synthesis": space.synthesis}, partial)
    return space


def _of_codec(folder: Path, width: int, most: int) -> Directions:
    transform = KltCodec.load(folder).transform
    if transform.forward.shape[0] != width:
        raise ShapeError().noted(
            f"the codec in {folder} is for tokens of {transform.forward.shape[0]} numbers, and the model makes {width}."
        )
    parts = transform.forward[:, :most], transform.inverse[:most]
    forward, inverse = (torch.from_numpy(np.ascontiguousarray(part)).float() for part in parts)
    return forward, inverse


def fitted_directions(
    gradient: Gradient, data: MetaData, mean: Tensor, device: torch.device, most: int, progress: Reporter
) -> Directions:
    """The directions of the largest energy in the metric, at most as many as asked for."""
    progress("looking for the tokens' leading directions")
    sample = _sample(data.tokens, mean)  # (S, D)
    basis = _basis(sample)  # (D, P)
    inside = sample @ basis  # (S, P)
    covariance = (inside.T @ inside).double() / len(inside)
    progress("measuring what the language model notices")
    root, back = _roots(_noticed(gradient, data, mean, basis, covariance, device))
    values, vectors = torch.linalg.eigh(root @ covariance @ root)
    kept = min(most, int((values > _MIN_SHARE * values[-1]).sum()))
    chosen = vectors.flip(1)[:, :kept]  # (P, R)
    forward, inverse = basis.double() @ root @ chosen, chosen.T @ back @ basis.T.double()
    return forward.float().contiguous(), inverse.float().contiguous()


def _mean(tokens: Tensor) -> Tensor:
    """(N, D) mean token at each position."""
    total = torch.zeros(tokens.shape[1:], dtype=torch.float64)
    for part in torch.split(tokens, pictures_at_once(tokens[0].numel())):
        total += part.double().sum(dim=0)
    return (total / len(tokens)).float()


def _sample(tokens: Tensor, mean: Tensor) -> Tensor:
    """(S, D) centred tokens, evenly chosen from all."""
    tiles, positions, width = tokens.shape
    total = tiles * positions
    count = min(total, max(2 * _SUBSPACE, _MAX_SAMPLED // width))
    rows = torch.from_numpy(np.sort(np.random.default_rng(0).choice(total, size=count, replace=False)))
    return tokens.reshape(total, width)[rows].float() - mean[rows % positions]


def _basis(sample: Tensor) -> Tensor:
    """(D, P) orthonormal: every direction where there are few, else the leading ones."""
    width = sample.shape[1]
    if width <= _SUBSPACE:
        return torch.eye(width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        leading: Tensor = torch.svd_lowrank(sample, q=min(_SUBSPACE, len(sample)), niter=2)[2]
    return leading


def _noticed(
    gradient: Gradient, data: MetaData, mean: Tensor, basis: Tensor, covariance: Tensor, device: torch.device
) -> Tensor:
    """(P, P) second moment of the answers' gradients within the basis, at tokens that a rough codec would restore."""
    values, vectors = torch.linalg.eigh(covariance)
    shares = values.flip(0).clamp(min=0).cumsum(0) / values.clamp(min=0).sum().clamp(min=1e-30)
    rough = (basis.double() @ vectors.flip(1)[:, : int((shares < _WORKING_SHARE).sum()) + 1]).float()  # (D, r)
    total = torch.zeros(len(covariance), len(covariance), dtype=torch.float64)
    asked = [picture for picture in range(len(data)) if data.asked[picture]][:_MAX_NOTICED]
    for turn, picture in enumerate(asked):
        own = data.asked[picture][turn % len(data.asked[picture])]
        exact = data.tokens[torch.from_numpy(data.rows_of(np.asarray([picture])))].float()  # (T, N, D)
        restored = mean + ((exact - mean) @ rough) @ rough.T
        found = gradient(restored.to(device), data.grid_of(picture), own).float().cpu()
        inside = found.flatten(0, 1) @ basis  # (T * N, P)
        total += (inside.T @ inside).double()
    return total


def _roots(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Square root of a second moment scaled to mean weight 1, and its inverse; nothing noticed weighs all alike."""
    size, trace = len(moment), float(moment.trace())
    if not np.isfinite(trace) or trace <= 0:
        return torch.eye(size, dtype=torch.float64), torch.eye(size, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(moment * (size / trace))
    roots = ((values.clamp(min=0) + _FLOOR) / (1 + _FLOOR)).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
