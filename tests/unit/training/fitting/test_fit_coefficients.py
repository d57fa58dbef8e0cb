"""Tables fitted on pictures: streams of others like them get shorter than with tables that know nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.codec.range_coder import MAX_COST
from heliograph.strategies.compressed_domain.coefficients import COMPONENTS, Coefficients, quantised
from heliograph.strategies.compressed_domain.contexts import SHAPES, Tables
from heliograph.strategies.compressed_domain.stream import decode, encode
from heliograph.training.fitting import fit_coefficients as fitting
from strategy_tools import photo


def pictures(first: int, count: int) -> list[Coefficients]:
    """Pictures of soft colours: few coefficients, most of them low."""
    return [
        quantised(photo(48, 48, seed).resize((12, 12)).resize((48, 48), Image.Resampling.BICUBIC), 60, True)
        for seed in range(first, first + count)
    ]


@pytest.fixture(scope="module")
def tables() -> Tables:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "_STEPS", 40)
        patch.setattr(fitting, "_BATCH", 512)
        found = fitting.fit_coefficients(pictures(0, 6), lines.append)
    assert lines == ["weights, round 1 of 2", "weights, round 2 of 2", "costs"]
    return found


def test_streams_of_other_pictures_get_shorter(tables: Tables) -> None:
    for one in pictures(50, 3):
        before, after = (len(encode((one,), used)[1]) for used in (fitting.first_tables(), tables))
        assert after < 0.8 * before


def test_fitted_tables_code_any_coefficients(tables: Tables) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    one = quantised(Image.fromarray(noise), 90, False)
    grade, codeword = encode((one,), tables)
    (found,) = decode([one.shape], 90, grade, codeword, tables)
    for component in range(COMPONENTS):
        assert np.array_equal(found.levels[component], one.levels[component])


def test_tables_are_whole_numbers_that_a_coder_takes(tables: Tables) -> None:
    for name, shape in SHAPES.items():
        values = getattr(tables, name)
        assert (values.shape, values.dtype) == (shape, np.int64)
        assert values.min() >= (0 if "weights" in name else 1)
        assert "costs" not in name or values.max() <= MAX_COST


def test_the_command_writes_what_is_read_back(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(4):
        photo(40, 30, seed).save(folder / f"{seed}.png")
    seen: list[Coefficients] = []

    def fitted(given: list[Coefficients], progress: object) -> Tables:
        seen.extend(given)
        return tables

    monkeypatch.setattr(fitting, "fit_coefficients", fitted)
    monkeypatch.setattr("sys.argv", ["fit", str(tmp_path / "out.json"), str(folder), "--most", "4"])
    fitting.main()
    written = Tables.from_json(json.loads((tmp_path / "out.json").read_text()))
    assert all(np.array_equal(getattr(written, name), getattr(tables, name)) for name in SHAPES)
    assert len(seen) == 5  # a scene to four photos
    assert {one.shape.halved for one in seen} == {True, False}
    assert {one.shape.width for one in seen} == {128, 384, 192}
