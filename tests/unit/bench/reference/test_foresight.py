"""What was predicted beside what was found: on the shipped model and codec."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from heliograph.bench.reference.foresight import Foreseen, measure
from heliograph.bench.reference.foresight_plot import plot_foresight
from heliograph.bench.semantic import SemanticConsistency
from heliograph.bench.tasks import scene_items
from heliograph.codec.bundle import Bundle
from heliograph.codec.meta import MetaCodec
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.vlm.checkpoint.loading import REFERENCE
from heliograph.vlm.model import VisionLanguageModel


def letters(texts: object) -> np.ndarray:
    """An embedding that can be checked by hand: how often each letter occurs."""
    made = [[text.count(chr(97 + letter)) + 0.01 for letter in range(26)] for text in cast("list[str]", texts)]
    return np.asarray(made, np.float32)


@pytest.fixture(scope="module")
def found() -> list[Foreseen]:
    codec = cast("MetaCodec", Bundle.load(shipped_bundle_folder()).codec("meta"))
    items = list(scene_items(8_000_300, 5, descriptions=False))
    return measure(VisionLanguageModel.load(REFERENCE), codec, items, SemanticConsistency(letters), prefixes=4)


def test_longer_prefixes_agree_more_and_that_is_predicted(found: list[Foreseen]) -> None:
    assert [one.answers for one in found] == [found[0].answers] * 4
    assert [one.bytes for one in found] == sorted(one.bytes for one in found)
    assert found[-1].agreement > found[0].agreement
    assert found[-1].predicted_agreement > found[0].predicted_agreement
    assert abs(found[-1].predicted_agreement - found[-1].agreement) < 0.25
    for one in found:
        assert one.consistency is not None
        assert one.agreement <= one.consistency <= 1 + 1e-6  # equal answers are entirely consistent, others partly


def test_correlations_are_known_where_something_varies(found: list[Foreseen]) -> None:
    first = found[0]
    assert first.agreement_correlation is not None
    assert -1 <= first.agreement_correlation <= 1
    assert first.error_correlation is not None


def test_the_picture_is_drawn_without_sc_too(found: list[Foreseen], tmp_path: Path) -> None:
    plot_foresight({"scenes": 5, "prefixes": [asdict(one) for one in found]}, tmp_path / "with.png")
    without = [Foreseen(1.0 + k, 9, 0.5, None, 0.5, None, None, 0.5) for k in range(3)]
    plot_foresight({"scenes": 9, "prefixes": [asdict(one) for one in without]}, tmp_path / "without.png")
    assert (tmp_path / "with.png").stat().st_size > 1000
    assert (tmp_path / "without.png").stat().st_size > 1000
