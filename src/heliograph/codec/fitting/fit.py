"""Fitting ``klt``: the transform in closed form from moments of all tokens, then the entropy tables by playing the
plane engine on a sample of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from heliograph.codec.fitting.contexts import with_contexts
from heliograph.codec.fitting.counting import Counted, uncounted
from heliograph.codec.fitting.metric import Metric, make_metric
from heliograph.codec.fitting.moments import Moments, common_grid, gather_moments
from heliograph.codec.fitting.restoration import fit_restoration
from heliograph.codec.fitting.tables import fit_tables
from heliograph.codec.klt import KltCodec, LayoutTables
from heliograph.codec.planes import Change
from heliograph.codec.tables import GRAINS, HIGHEST_SCALE_BIN, LOWEST_SCALE_BIN, SKEW_BINS, Int, Layout
from heliograph.codec.transform import MODES, DoubleArray, Transform, grid_dct
from heliograph.errors import CodecNotFittedError, ShapeError
from heliograph.reasons import shown
from heliograph.types import FloatArray, Grid, VisualTokens

_MIN_SETS = 8
_TRIAL_COEFFICIENTS = 1 << 20
_FINAL_COEFFICIENTS = 1 << 22
_HELD_OUT = 24
_ACTIVITY_MUST_SAVE = 0.02
_TRIAL_SHARES = 2.0 ** (np.arange(-10, 1) / 2)  # of a photo's whole stream
# A mode is judged where streams are used: answers become those of the uncompressed tokens when about a seventh of the
# weighted energy is left. What wins on shorter prefixes may lose there (docs/experiments.md).
_MAX_RESIDUAL = 0.25


def fit_klt(
    token_sets: Sequence[VisualTokens],
    *,
    grids: Sequence[Grid] | None = None,
    sensitivity: FloatArray | None = None,
    grid_sensitivity: FloatArray | None = None,
    finest_retained: float = 0.995,
    max_components: int = 384,
    modes: Sequence[str] = MODES,
    activity: bool | None = None,
    contexts: bool = True,
    restore: bool = True,
    count: Counted = uncounted,
) -> KltCodec:
    """Fit every table on token sets of one D, read in one pass.

    Args:
        token_sets: at least 8, better a few hundred. Where their grids differ, it is fitted on the one that most of
            them have, and the others' tokens are moved onto it.
        grids: of the token sets, where reading them for that alone takes long.
        sensitivity: what the language model notices of a token's error: (D,) or (D, D) second moment of its
            gradient, or (P, D, D) the same per frequency of the orthonormal DCT over the grid.
        grid_sensitivity: (P, P) second moment of the gradient over the positions of a tile.
        finest_retained: share of weighted energy that the whole stream restores, 0.5 to 0.9999.
        max_components: at most so many KLT components (bounds memory and time for a large D).
        modes: candidates over the grid; the one with the smallest measured rate is taken.
        activity: whether classes follow what is known around a coefficient; None measures what it saves.
        contexts: also fit what a token's surroundings tell of the next decision.
        restore: also fit the cloud's guess at what was not sent.
        count: makes the counters of the stages.

    Raises:
        CodecNotFittedError: too few sets, or no variation in them.
        ShapeError: sets or sensitivities do not fit together.
    """
    if not 0.5 <= finest_retained <= 0.9999:
        raise ShapeError().noted(f"finest_retained must be 0.5 to 0.9999, not {finest_retained}.")
    if max_components < 1:
        raise ShapeError().noted(f"max_components must be 1 or more, not {max_components}.")
    if not modes or not set(modes) <= set(MODES):
        raise ShapeError().noted(f"modes must be at least one of {', '.join(MODES)}, not {shown(modes)}.")
    if len(token_sets) < _MIN_SETS:
        raise CodecNotFittedError().noted(f"{len(token_sets)} photos are here, and at least {_MIN_SETS} are needed.")
    known = [tokens.grid for tokens in token_sets] if grids is None else grids
    grid, size = common_grid(known), int(token_sets[0].values.shape[-1])
    metric = make_metric(size, (grid.rows, grid.columns), sensitivity, grid_sensitivity)
    moments = gather_moments(token_sets, known, metric.grid_root if metric.weighs_grid else None)
    fitter = _Fitter(moments, metric, finest_retained, max_components, contexts)
    mode, activity = fitter.choose(_candidates(modes, metric, moments), activity, count)
    codec = fitter.codec(mode, activity, len(moments.sample), _FINAL_COEFFICIENTS, count)
    planes = codec.tables.planes
    if contexts:
        codec = with_contexts(codec, moments.sample, advance=count(planes, "fitting context networks"))
    if restore:
        codec.restoration = fit_restoration(codec, moments.sample, count(planes, "fitting restoration"))
    return codec


def _candidates(modes: Sequence[str], metric: Metric, moments: Moments) -> list[str]:
    """The modes that suit the data, or all where none does."""
    unsuited = set()
    if metric.weighs_grid:
        unsuited.add("none")  # it cannot follow a metric over the grid
    if not moments.one_grid:
        unsuited.add("learned")  # what it learns of one grid is of no use on others
    return [mode for mode in modes if mode not in unsuited] or list(modes)


class _Fitter:
    """Holds the data and the parts that all candidates share."""

    def __init__(
        self, moments: Moments, metric: Metric, finest: float, max_components: int, contexts: bool = False
    ) -> None:
        self.grid, self.tokens, self.mean = moments.grid, moments.sample, moments.mean
        self.metric, self.finest, self.contexts = metric, finest, contexts
        self.vectors = self._channel_vectors(moments.scatter, max_components)

    def _channel_vectors(self, scatter: DoubleArray, most: int) -> DoubleArray:
        """(D, R) leading eigenvectors of the covariance in the metric; what carries no energy is left out."""
        size = scatter.shape[0]
        values, vectors = np.linalg.eigh(self.metric.channel_root @ scatter @ self.metric.channel_root)
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        share = np.cumsum(values) / values.sum()
        needed = int(np.searchsorted(share, 1 - 0.25 * (1 - self.finest))) + 1
        return np.ascontiguousarray(vectors[:, : min(needed, most, size)])

    def choose(
        self, modes: Sequence[str], activity: bool | None = None, count: Counted = uncounted
    ) -> tuple[str, bool]:
        """Mode and use of activity contexts with the smallest rate at equal distortion on held-out photos.

        Args:
            modes: to choose among.
            activity: chosen already; None to choose.
            count: see :func:`fit_klt`.
        """
        if len(modes) == 1 and activity is not None:
            return modes[0], activity
        advance = count(len(modes) + (activity is None), "choosing the transform: entropy tables of each")
        held = min(_HELD_OUT, max(2, len(self.tokens) // 8))
        training = len(self.tokens) - held
        most = _MAX_RESIDUAL * float(np.mean([self.metric.energy(photo - self.mean) for photo in self.tokens[-held:]]))
        best_mode, best_curve = modes[0], None
        for mode in modes:
            curve = self._curve(self._trial(mode, activity is not False, training), held)
            advance(1)
            if best_curve is None or _saving(best_curve, curve, most) > 0:
                best_mode, best_curve = mode, curve
        if activity is not None:
            return best_mode, activity
        plain = self._curve(self._trial(best_mode, False, training), held)
        advance(1)
        return best_mode, best_curve is not None and _saving(plain, best_curve, most) > _ACTIVITY_MUST_SAVE

    def _trial(self, mode: str, activity: bool, tiles: int) -> KltCodec:
        """A codec to judge by. Contexts see neighbours, which some modes leave nothing to say, so they take part."""
        codec = self.codec(mode, activity, tiles, _TRIAL_COEFFICIENTS)
        return with_contexts(codec, self.tokens[:tiles], trial=True) if self.contexts else codec

    def codec(
        self, mode: str, activity: bool, tiles: int, most_coefficients: int, count: Counted = uncounted
    ) -> KltCodec:
        """A whole codec fitted on the first ``tiles`` tiles."""
        tokens = self.tokens[:tiles]
        raw = _unit_transform(mode, self, tokens)
        coefficients = raw.analyse(tokens.reshape(-1, tokens.shape[2]), self._tiled(tiles), fitted=True)
        step = _finest_step(coefficients, self.finest)
        transform = replace(raw, step=step)
        scaled = coefficients / np.float32(step)
        layouts = self._layouts(transform, tokens, scaled)
        stride = max(1, -(-scaled.size // most_coefficients))
        rows, columns = self.grid.rows, self.grid.columns
        layout = Layout(rows, columns, mode != "learned", layouts.scale_bin, layouts.skew_bin)
        tables = fit_tables(scaled[::stride], layout, activity, count)
        return KltCodec(self.grid, transform, tables, layouts)

    def _tiled(self, tiles: int) -> Grid:
        return Grid(self.grid.rows, self.grid.columns, tiles)

    def _layouts(self, transform: Transform, tokens: FloatArray, scaled: FloatArray) -> LayoutTables:
        scale, skew = _scale_bins(scaled), _skew_bins(scaled, transform.mode == "none")
        if transform.mode == "none":
            pooled = _scale_bins(scaled.reshape(-1, 1, scaled.shape[2]))
            other = np.repeat(pooled, scaled.shape[1], axis=0)
        elif transform.mode == "dct" and not self.metric.weighs_grid:
            other = scale
        else:
            spectrum = np.asarray((tokens - self.mean) @ transform.forward, dtype=np.float32)
            mixed = grid_dct(self.grid.rows, self.grid.columns).astype(np.float32) @ spectrum
            other = _scale_bins(np.asarray(mixed / np.float32(transform.step), dtype=np.float32))
        return LayoutTables(scale, skew, other)

    def _curve(self, codec: KltCodec, held: int) -> DoubleArray:
        """(K, 2) mean distortion and bytes over the held-out tiles at ``_TRIAL_SHARES`` of each stream."""
        points = []
        one = self._tiled(1)
        for photo in self.tokens[-held:]:
            exact = codec.transform.analyse(photo, one, fitted=True)
            course = _DistortionCourse(exact)
            codeword = codec.encode_coefficients(exact, one, watch=course.add)
            cuts = np.ceil(_TRIAL_SHARES * len(codeword.data)).astype(np.int64)
            unit = codec.transform.step**2
            outside = max(self.metric.energy(photo - self.mean) - course.whole * unit, 0.0)
            points.append(np.stack([course.after(codeword.known_at(cuts)) * unit + outside, cuts], axis=1))
        return np.asarray(np.asarray(points, dtype=np.float64).mean(axis=0))


class _DistortionCourse:
    """Squared error of a photo's coefficients, in squared steps, after each decision that is coded.

    Args:
        exact: (1, P, R) float32 coefficients in steps.
    """

    def __init__(self, exact: FloatArray) -> None:
        self._exact = exact.reshape(-1).astype(np.float64)
        self.whole = float(np.square(self._exact).sum())
        self._changes: list[DoubleArray] = []

    def add(self, change: Change) -> None:
        """What the next decisions change."""
        exact, course = self._exact[change.places], np.zeros(change.done)
        after, before = change.after / GRAINS, change.before / GRAINS
        course[change.moved] = np.square(after - exact) - np.square(before - exact)
        self._changes.append(course)

    def after(self, known: Int) -> DoubleArray:
        """(K,) error once so many decisions are known."""
        changes = np.concatenate([[self.whole], *self._changes])
        return np.asarray(np.cumsum(changes)[known])


def _saving(before: DoubleArray, after: DoubleArray, most: float) -> float:
    """Share of bytes that ``after`` saves over ``before`` at equal distortion up to ``most``.

    The mean over the cuts of ``before``, which are evenly spaced in the logarithm of bytes.
    """
    order = np.argsort(after[:, 0])
    reached, bytes_ = np.log(after[order, 0] + 1e-30), np.log(after[order, 1])
    targets = np.log(before[:, 0] + 1e-30)
    common = (targets >= reached[0]) & (targets <= reached[-1]) & (before[:, 0] <= most)
    if not common.any():
        return 1.0 if targets.min() > reached.max() else -1.0
    needed = np.interp(targets[common], reached, bytes_)
    return float(1 - np.exp((needed - np.log(before[common, 1])).mean()))


def _unit_transform(mode: str, fitter: _Fitter, tokens: FloatArray) -> Transform:
    """The transform of one mode with step 1."""
    metric, grid = fitter.metric, fitter.grid
    positions = grid.rows * grid.columns
    forward = metric.channel_root @ fitter.vectors
    inverse = fitter.vectors.T @ metric.channel_root_inverse
    basis = np.eye(positions)
    if mode == "dct":
        basis = grid_dct(grid.rows, grid.columns)
    elif mode == "learned":
        covariance = np.zeros((positions, positions))
        for photo in tokens:
            weighted = metric.grid_root @ (photo - fitter.mean) @ forward
            covariance += weighted @ weighted.T
        basis = np.linalg.eigh(covariance)[1][:, ::-1].T
    if mode == "dct" and metric.weighs_grid:
        gains = np.sqrt(np.maximum(np.einsum("fp,pq,fq->f", basis, metric.grid_root @ metric.grid_root, basis), 1e-9))
        grid_forward, grid_inverse = gains[:, None] * basis, basis.T / gains
    elif mode == "none":
        grid_forward = grid_inverse = basis
    else:
        grid_forward, grid_inverse = basis @ metric.grid_root, metric.grid_root_inverse @ basis.T
    parts = (fitter.mean, forward, inverse, grid_forward, grid_inverse)
    return Transform(mode, 1.0, *(np.ascontiguousarray(part, dtype=np.float32) for part in parts))


def _finest_step(coefficients: FloatArray, finest: float) -> float:
    """The step at which dead-zone quantisation leaves 1 - finest of the energy, by bisection."""
    sample = np.abs(coefficients[:: max(1, len(coefficients) // 64)]).astype(np.float64)
    energy = float((sample**2).sum())
    low, high = 0.0, float(sample.max())
    for _ in range(30):
        step = (low + high) / 2
        restored = np.where(sample >= step, (np.floor(sample / step) + 0.45) * step, 0)
        if float(((sample - restored) ** 2).sum()) > (1 - finest) * energy:
            high = step
        else:
            low = step
    if low <= 0:
        raise CodecNotFittedError
    return float(np.float32(low))


def _scale_bins(scaled: FloatArray) -> Int:
    """(P, R) eighth octaves of the mean magnitude, drawn towards the component's own mean where photos are few."""
    magnitude = np.abs(scaled).astype(np.float64)
    pooled = magnitude.mean(axis=(0, 1))
    count = len(scaled)
    mean = (magnitude.mean(axis=0) * count + 2 * np.minimum(pooled, magnitude.mean(axis=0))) / (count + 2)
    bins = np.rint(8 * np.log2(np.maximum(mean, 1e-9)))
    return np.asarray(np.clip(bins, LOWEST_SCALE_BIN, HIGHEST_SCALE_BIN).astype(np.int64))


def _skew_bins(scaled: FloatArray, spatial: bool) -> Int:
    """(P, R) how often coefficients that stand out are negative, on a scale of 0.6 in log odds."""
    scale = np.abs(scaled).mean(axis=0)
    large = np.abs(scaled) > np.maximum(scale, 1.0)
    negative = (large & (scaled < 0)).sum(axis=0).astype(np.float64)
    count = large.sum(axis=0).astype(np.float64)
    if spatial:  # the sign habits of a component are the same everywhere
        negative = np.broadcast_to(negative.sum(axis=0), negative.shape)
        count = np.broadcast_to(count.sum(axis=0), count.shape)
    chance = (negative + 16) / (count + 32)
    bins = np.rint(np.log(chance / (1 - chance)) / 0.6) + SKEW_BINS // 2
    return np.asarray(np.clip(bins, 0, SKEW_BINS - 1).astype(np.int64))
