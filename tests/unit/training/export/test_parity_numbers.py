"""The report holds numbers, and a photo whose tokens are none does not hide behind others."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.reference.render import render_scene
from heliograph.training.export import parity
from heliograph.training.export.parity import Parity, _errors, sample_photos
from heliograph.types import Grid, VisualTokens

GRID = Grid(1, 2)


def tokens(*values: float) -> VisualTokens:
    return VisualTokens(np.asarray(values, np.float32).reshape(2, -1), GRID)


def test_mean_over_mean_size_and_largest_over_largest_value() -> None:
    own = [tokens(1, 3), tokens(2, -4)]
    found = [tokens(1.5, 3), tokens(2, -3)]
    error, worst = _errors(own, found)
    assert error == pytest.approx(np.mean([0.25 / 2, 0.5 / 3]))
    assert worst == pytest.approx(max(0.5 / 3, 1 / 4))
    assert _errors(own, found[:1]) == pytest.approx((0.125, 0.5 / 3))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_photo_without_numbers_makes_both_errors_none(place: int, bad: float) -> None:
    own = [tokens(1, 3), tokens(2, -4), tokens(5, 6)]
    found = list(own)
    found[place] = tokens(bad, 1)
    error, worst = _errors(own, found)
    assert not math.isfinite(error)
    assert not math.isfinite(worst)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_report_without_numbers_is_not_written(bad: float, tmp_path: Path) -> None:
    path = tmp_path / "parity.json"
    with pytest.raises(ValueError, match="JSON"):
        Parity("float32", 1, bad, 0.1, 0, (), False).write(path)
    assert not path.exists()
    good = Parity("float32", 1, 0.25, 0.5, 0, (), True)
    assert json.loads(good.write(path).read_text())["max_error"] == 0.5


def test_sixteen_scenes_and_questions_about_each(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(parity, "render_scene", lambda seed: (seen.append(seed), render_scene(3))[1])
    found = sample_photos(None)
    assert seen == list(range(7_899_999, 7_899_983, -1))  # the last of those that no training and no fit reaches
    assert all(len(one.questions) > 2 for one in found)


def test_of_photos_the_first_sixteen_and_questions_about_six(tmp_path: Path) -> None:
    for number in range(18):
        Image.new("RGB", (8 + number, 8)).save(tmp_path / f"{number:02}.png")
    found = sample_photos(tmp_path)
    assert [one.photo.width for one in found] == list(range(8, 24))
    assert [len(one.questions) for one in found] == [3] * 6 + [0] * 10
