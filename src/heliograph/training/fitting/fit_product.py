"""``heliograph train codec --kind pq``: codebooks for :mod:`heliograph.codec.product`, by k-means, without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans

from heliograph.codec.klt import KltCodec
from heliograph.codec.product import CENTROIDS, ProductCodec, ProductTables
from heliograph.errors import CodecNotFittedError, ShapeError
from heliograph.training.files import refusals_named
from heliograph.training.fitting.codec_card import write_fit_card
from heliograph.training.fitting.fit_codec import FIT_SEEDS_START, channel_codec, fitting_tokens
from heliograph.training.progress import Advance, stage
from heliograph.types import FloatArray, Reporter, VisualTokens
from heliograph.vlm.codec_folder import save_codec
from heliograph.vlm.opening import open_model

SUBSPACES = (1, 2, 4, 8)
PICTURES = 1600
_MAX_FEATURES = 96  # as the learned codec: what lies below is next to nothing
_MAX_ROUNDS = 60


def fit_product(
    model_name: str,
    out: Path,
    *,
    photos: Path | None = None,
    pictures: int = PICTURES,
    start: Path | None = None,
    seed: int = 0,
    progress: Reporter = print,
) -> Path:
    """Fit ``pq`` and save it into ``out``.

    Args:
        model_name: ``reference``, a folder or a hub id.
        out: codec folder.
        photos: folder, zip or list of photos; None fits on generated scenes (for the reference model).
        pictures: how many scenes or photos at most.
        start: folder of a fitted ``klt`` codec whose channel transform is taken; None takes the shipped one for the
            reference model and fits one otherwise.
        seed: of k-means, and of the first scene.
        progress: receives a line per stage.

    Raises:
        DataMissingError: the folder holds no readable photo.
        CodecNotFittedError: fewer pictures than it needs.
        ModelUnavailableError, BundleDamagedError: the model or ``start`` cannot be loaded.
        OutputUnwritableError: the disk refuses.
    """
    model = open_model(model_name)
    material = fitting_tokens(model, photos, pictures, FIT_SEEDS_START + seed, out / "tokens", progress)
    fitting, kept_back = material.split()
    klt = channel_codec(model_name, model, fitting.tokens, fitting.asked, start, progress)
    codec = ProductCodec(product_tables(fitting.tokens, klt, seed=seed, progress=progress))
    source = "photos" if photos else f"scenes from seed {FIT_SEEDS_START + seed}"
    facts = {
        "pictures": len(fitting),
        "source": source,
        "seed": seed,
        "retained": dict(zip(map(str, codec.tables.subspaces), codec.tables.retained.tolist(), strict=True)),
    }
    with refusals_named():
        write_fit_card(out, codec, model_name, facts, kept_back.tokens)
        save_codec(out, codec, codec.grid, model_name)
    return out


def product_tables(
    tokens: Sequence[VisualTokens],
    klt: KltCodec,
    *,
    subspaces: Sequence[int] = SUBSPACES,
    seed: int = 0,
    progress: Reporter = print,
) -> ProductTables:
    """Quantisers with so many subspaces each, over the channel transform of a fitted ``klt``.

    Raises:
        CodecNotFittedError: fewer than 256 tokens in all, or more subspaces than features.
        ShapeError: ``klt`` was fitted for other tokens.
    """
    if not tokens or sum(one.grid.tokens for one in tokens) < CENTROIDS:
        raise CodecNotFittedError().noted(
            f"{sum(one.grid.tokens for one in tokens)} tokens are here, and at least {CENTROIDS} are needed."
        )
    transform = klt.transform
    positions, hidden = transform.mean.shape
    if any(one.values.shape[1] != hidden or one.values.shape[0] % positions for one in tokens):
        raise ShapeError().noted(
            f"tokens must be whole tiles of {positions} rows with {hidden} numbers, as the klt codec was fitted for."
        )
    forward, inverse = transform.forward[:, :_MAX_FEATURES], transform.inverse[:_MAX_FEATURES]
    if max(subspaces) > forward.shape[1]:
        raise CodecNotFittedError().noted(
            f"{max(subspaces)} subspaces are asked for, and the klt codec keeps {forward.shape[1]} components."
        )
    values = np.concatenate([one.values for one in tokens]).reshape(-1, positions, hidden)  # (tiles, P, D)
    features = ((values - transform.mean) @ forward).reshape(-1, forward.shape[1])  # (samples, R)
    owners, books, kept = [], [], []
    advance = stage(progress, sum(subspaces), f"clustering {len(features)} tokens in subspaces")
    for count in subspaces:
        owner = allocated(features.var(axis=0), count)
        book, retained = _codebook(features, owner, seed, advance)
        owners.append(owner)
        books.append(book)
        kept.append(retained)
    stacked = np.stack(owners), np.stack(books).astype(np.float32), np.asarray(kept, dtype=np.float32)
    tables = ProductTables(klt.grid, transform.mean, forward, inverse, *stacked)
    tables.check()
    return tables


def allocated(variances: npt.NDArray[np.floating], subspaces: int) -> npt.NDArray[np.int64]:
    """(R,) the subspace of each feature: the largest variance left goes to the subspace with the least product so far,
    as long as that has room (eigenvalue allocation, Ge et al. 2013)."""
    room = -(-len(variances) // subspaces)
    logs = np.log2(np.maximum(variances, 1e-12))
    logs -= logs.min()  # a subspace without features counts as the least
    sums, sizes = np.zeros(subspaces), np.zeros(subspaces, dtype=np.int64)
    owner = np.zeros(len(variances), dtype=np.int64)
    for feature in np.argsort(-logs, kind="stable"):
        chosen = int(np.argmin(np.where(sizes < room, sums, np.inf)))
        owner[feature] = chosen
        sums[chosen] += logs[feature]
        sizes[chosen] += 1
    return owner


def _codebook(
    features: FloatArray, owner: npt.NDArray[np.int64], seed: int, advance: Advance
) -> tuple[FloatArray, float]:
    """(256, R) centroids, and the share of the features' energy that they keep."""
    book = np.zeros((CENTROIDS, features.shape[1]), dtype=np.float32)
    lost = 0.0
    for subspace in range(int(owner.max()) + 1):
        columns = np.flatnonzero(owner == subspace)
        means = KMeans(CENTROIDS, n_init=1, max_iter=_MAX_ROUNDS, random_state=seed).fit(features[:, columns])
        book[:, columns] = means.cluster_centers_
        lost += float(means.inertia_)
        advance(1)
    return book, max(0.0, 1 - lost / max(float(np.square(features).sum()), 1e-30))
