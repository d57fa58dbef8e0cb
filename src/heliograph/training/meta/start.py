"""Where training starts: the closed-form channel transform, and principal components of whole pictures.

Attention from random weights spends its first thousands of steps on finding out what a linear map knows. So the
linear paths of encoder and decoder begin as the leading principal components of the features of whole pictures, scaled
to one common quantiser step: a transform codec over all positions and channels at once, ordered by energy.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from heliograph.codec.klt import KltCodec
from heliograph.errors import ShapeError
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, MetaSizes, RateModel, TokenSpace

_MAX_PICTURES = 25_000
_WIDE, _MAX_WIDE_PICTURES = 1 << 13, 4096  # features of a whole picture, above which fewer pictures must do
_STEP_RANK = 0.1
_CHUNK = 256
_MIN_SPREAD = 2e-3  # of the largest; what lies below is rounding noise of float32 products


def token_space(codec: KltCodec, tokens: Tensor, most: int) -> TokenSpace:
    """The transform of a fitted codec, scaled so that the features of (I, N, D) tokens have mean square 1.

    ``most`` bounds R: the leading components are kept.

    Raises:
        ShapeError: the codec was fitted for other tokens.
    """
    transform = codec.transform
    if transform.mean.shape != tuple(tokens.shape[1:]):
        raise ShapeError().noted(
            f"the codec was fitted for tokens of shape {transform.mean.shape}, not {tuple(tokens.shape[1:])}."
        )
    parts = transform.mean, transform.forward[:, :most], transform.inverse[:most]
    mean, forward, inverse = (torch.from_numpy(np.ascontiguousarray(part)).float() for part in parts)
    places = None
    if transform.mode != "none":
        places = torch.from_numpy(transform.grid_forward).float(), torch.from_numpy(transform.grid_inverse).float()
    plain = TokenSpace(mean, forward, inverse, places)
    squares = [plain.features(part.float()).square().mean(dim=(1, 2)) for part in torch.split(tokens, _CHUNK)]
    size = torch.cat(squares).mean().sqrt().clamp(min=1e-12)
    return TokenSpace(mean, forward / size, inverse * size, places)


def start_pictures(sizes: MetaSizes) -> int:
    """How many pictures at most the principal components are taken from; bounds time and memory."""
    return _MAX_PICTURES if sizes.tokens * sizes.features <= _WIDE else _MAX_WIDE_PICTURES


@torch.no_grad()
def start_from_components(
    encoder: MetaEncoder, decoder: MetaDecoder, rate: RateModel, features: Tensor, step_share: float
) -> None:
    """Set the linear paths and the rate model from (I, N, R) features of the training pictures.

    ``step_share`` is the quantiser step in standard deviations of the component at a tenth of the integers.
    """
    count = encoder.sizes.integers
    directions, spread = principal_components(features[: start_pictures(encoder.sizes)].flatten(1), count)
    step = step_share * spread[min(int(_STEP_RANK * count), int((spread > 0).sum()) - 1)]
    encoder.straight.copy_(directions / step)
    decoder.straight.copy_(directions.T * step)
    steps = (spread / step).clamp(0.15, 4.0).reshape(rate.log_scale.shape)
    rate.log_scale.copy_(torch.log(0.75 * steps))  # a logistic's scale is about half its standard deviation


def principal_components(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N * R, count) leading principal directions of (I, N * R) rows and their standard deviations.

    From the inner products of rows or of columns, whichever are fewer; directions beyond the rows' rank are zero.
    """
    few = len(rows) < rows.shape[1]
    products = rows @ rows.T if few else rows.T @ rows
    values, vectors = torch.linalg.eigh(products.double() / len(rows))
    spread = values.flip(0).clamp(min=0).sqrt()[:count]  # (k,), largest first
    kept = spread > _MIN_SPREAD * spread[0]
    directions = vectors.flip(1)[:, :count]
    if few:
        directions = rows.T.double() @ directions  # (N * R, k)
    directions = torch.where(kept, directions / directions.norm(dim=0).clamp(min=1e-30), 0.0)
    missing = count - len(spread)
    padded = torch.nn.functional.pad(directions, (0, missing)), torch.nn.functional.pad(spread * kept, (0, missing))
    return padded[0].float(), padded[1].float()
