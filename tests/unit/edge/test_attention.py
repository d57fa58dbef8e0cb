"""What a tower looks at, from queries and keys: by hand and by numpy, and what is no metadata."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from heliograph.edge.attention import AttentionFacts, attention_received, merged, over_heads, pooled
from heliograph.types import Grid


def test_attention_of_two_patches_by_hand() -> None:
    """One head, scale 2: patch 0 asks for patch 1 with a score of 2 against 0, patch 1 asks for neither."""
    queries, keys = np.array([[1.0], [0.0]], np.float32), np.array([[0.0], [1.0]], np.float32)
    found = attention_received(queries, keys, AttentionFacts(1, 2.0))
    asked = exp(2) / (exp(2) + 1)
    assert np.allclose(found, [(1 - asked + 0.5) / 2, (asked + 0.5) / 2], atol=1e-6)


def test_heads_are_averaged() -> None:
    random = np.random.default_rng(0)
    queries, keys = random.normal(size=(2, 12, 6)).astype(np.float32)
    found = attention_received(queries, keys, AttentionFacts(3, 0.7))
    expected = np.zeros(12)
    for head in range(3):
        for query in queries[:, 2 * head : 2 * head + 2]:
            scores = np.exp(0.7 * keys[:, 2 * head : 2 * head + 2] @ query)
            expected += scores / scores.sum() / 12 / 3
    assert np.allclose(found, expected, atol=1e-6)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(over_heads(keys, 3), (keys[:, :2] + keys[:, 2:4] + keys[:, 4:]) / 3, atol=1e-6)
    alike = attention_received(np.zeros((5, 4), np.float32), np.full((5, 4), 1e4, np.float32), AttentionFacts(2, 1.0))
    assert np.allclose(alike, 0.2)


def test_patches_are_pooled_in_squares() -> None:
    """Four by six patches, two a side for each of 2 x 3 tokens."""
    grid = Grid(2, 3)
    assert merged(24, grid) == 2
    values = np.arange(24, dtype=np.float32)
    assert pooled(values, grid, 2).tolist() == [(0 + 1 + 6 + 7) / 4, 5.5, 7.5, 15.5, 17.5, 19.5]
    assert pooled(np.stack([values, -values], axis=1), grid, 2)[1].tolist() == [5.5, -5.5]


@pytest.mark.parametrize(("patches", "grid", "side"), [(6, Grid(2, 3), 1), (54, Grid(2, 3), 3), (12, Grid(2, 3), None)])
def test_tokens_are_squares_of_patches_or_nothing_is_known(patches: int, grid: Grid, side: int | None) -> None:
    assert merged(patches, grid) == side


def test_of_several_tiles_nothing_is_known() -> None:
    assert merged(12, Grid(2, 3, 2)) is None
    assert merged(3, Grid(2, 3)) is None


@pytest.mark.parametrize(
    ("heads", "scale", "size", "width", "found"),
    [
        (5, 0.17, 0, 160, 5),
        (-1, 0.17, 32, 160, 5),  # a graph leaves the number open
        (5, 0.17, 32, 160, 5),
        (5, 0.17, 16, 160, 0),
        (7, 0.17, 0, 160, 0),
        (0, 0.17, 0, 160, None),
        (2000, 1, 0, 160, None),
        (5, float("nan"), 0, 160, None),
        (5, -1, 0, 160, None),
        (0, 1, 9000, 160, None),
    ],
)
def test_facts(heads: int, scale: float, size: int, width: int, found: int | None) -> None:
    facts = AttentionFacts.of(heads, scale, size)
    assert (None if facts is None else facts.heads_of(width)) == found
