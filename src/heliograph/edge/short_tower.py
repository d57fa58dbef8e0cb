"""A tower run block by block with fewer and fewer units: products in ONNX Runtime, attention in between in numpy.

::

    hidden ──part──► queries, keys, values ── softmax(s Q K^T + log size) V ──part──► attended ──part──► next hidden
       ▲ units go here                                                         ▲ or become one here

A unit is the patches of one visual token, so that what is left over can still be made into tokens. The parts are cut
out of the bundle's encoder (:mod:`heliograph.codec.onnx_graph`): weights and activations are its own, and they take any
number of patches, since shapes are fixed in attention alone. That is written anew here, with keys that count as often
as the tokens that they stand for (proportional attention, arXiv 2210.09461). A tower in numpy would have had to know
every activation, and a graph with merging inside a sort and a scatter in every block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from heliograph.edge.attention import AttentionFacts
from heliograph.edge.tower_graph import Block
from heliograph.strategies.towers import Shorten, Shortening
from heliograph.types import FloatArray, Grid

Run = Callable[[tuple[str, ...], dict[str, FloatArray]], list[FloatArray]]
Indices = npt.NDArray[np.int64]


def unit_patches(grid: Grid, side: int) -> Indices:
    """(N, side * side) places of the patches of each visual token, where patches and tokens lie row by row."""
    places = np.arange(grid.tokens * side * side).reshape(grid.rows, side, grid.columns, side)
    return places.transpose(0, 2, 1, 3).reshape(grid.tokens, side * side)


def run_short(
    run: Run, blocks: Sequence[Block], hidden: FloatArray, patches: Indices, shorten: Shorten
) -> tuple[FloatArray, Indices]:
    """States (P, d) behind the last block, at all places, and the clusters (N,) of the visual tokens.

    Args:
        run: a part of the encoder, by its outputs and what it is given.
        blocks: of the encoder.
        hidden: (P, d) float32 states before the first.
        patches: of each unit.
        shorten: see :data:`heliograph.strategies.towers.Shorten`.
    """
    count = len(patches)
    now = Shortening(0, hidden[patches], None, np.ones(count, np.int64), np.arange(count))
    left = hidden[patches].copy()  # (N, s * s, d) of what was dropped, as it was then
    for number, block in enumerate(blocks):
        now = _shortened(replace(now, block=number, keys=None), shorten, left)
        given = {block.hidden: _flat(now.states)}
        queries, keys, values = run((block.queries, block.keys, block.values), given)  # (1, t * s * s, width)
        bias = np.log(np.repeat(now.sizes, patches.shape[1])).astype(np.float32)
        mixed = _attention(queries[0], keys[0], values[0], bias, block.facts)
        (attended,) = run((block.attended,), given | {block.mixed: mixed[None]})
        heads = block.facts.heads_of(keys.shape[-1])
        mean = keys[0].reshape(*now.states.shape[:2], heads, -1).mean(axis=2)  # (t, s * s, K)
        now = replace(now, states=attended[0].reshape(now.states.shape), keys=mean)
        now = _shortened(now, shorten, left)
        (after,) = run((block.after,), {block.attended: _flat(now.states)})
        now = replace(now, states=after[0].reshape(now.states.shape))
    kept = now.clusters >= 0
    left[kept] = now.states[now.clusters[kept]]
    whole = np.empty_like(hidden)
    whole[patches.reshape(-1)] = left.reshape(-1, hidden.shape[-1])
    return whole, now.clusters


def _shortened(now: Shortening, shorten: Shorten, left: FloatArray) -> Shortening:
    """After what ``shorten`` asks for; what it drops is written into ``left``."""
    becomes = shorten(now)
    if becomes is None:
        return now
    count, kept = int(becomes.max()) + 1, becomes >= 0
    weights = now.sizes[kept, None, None]
    states = np.zeros((count, *now.states.shape[1:]), np.float64)
    np.add.at(states, becomes[kept], now.states[kept] * weights)
    sizes = np.bincount(becomes[kept], weights=now.sizes[kept], minlength=count).astype(np.int64)
    held = now.clusters >= 0
    dropped = held.copy()
    dropped[held] = ~kept[now.clusters[held]]
    left[dropped] = now.states[now.clusters[dropped]]
    clusters = now.clusters.copy()
    clusters[held] = becomes[now.clusters[held]]
    return Shortening(now.block, (states / sizes[:, None, None]).astype(np.float32), None, sizes, clusters)


def _attention(
    queries: FloatArray, keys: FloatArray, values: FloatArray, bias: FloatArray, facts: AttentionFacts
) -> FloatArray:
    """(P, width) of (P, width) each, with ``bias`` (P,) added to the scores of every key."""
    heads = facts.heads_of(queries.shape[-1])
    size, width = queries.shape[-1] // heads, values.shape[-1] // heads
    mixed = np.empty_like(values)
    for head in range(heads):
        part, made = slice(head * size, (head + 1) * size), slice(head * width, (head + 1) * width)
        scores = np.float32(facts.scale) * (queries[:, part] @ keys[:, part].T) + bias  # (P, P)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed[:, made] = weights @ values[:, made] / weights.sum(axis=1, keepdims=True)
    return mixed


def _flat(states: FloatArray) -> FloatArray:
    return np.ascontiguousarray(states.reshape(1, -1, states.shape[-1]), np.float32)
