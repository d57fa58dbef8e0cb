"""Golden vectors of ``jpeg-dct``: grade and codeword of coefficients of whole numbers, pinned byte for byte.

A change here is a wire-format change. The receiver of ``tests/interop/test_coefficients.py``, written from
``docs/coefficients.md`` alone, reads such codewords.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from heliograph.strategies.compressed_domain import contexts
from heliograph.strategies.compressed_domain.coefficients import COMPONENTS, Coefficients, PictureShape
from heliograph.strategies.compressed_domain.contexts import shipped_tables
from heliograph.strategies.compressed_domain.stream import decode, encode

VECTORS = {
    # quality, chroma at half size: grade, codeword
    (40, True): (
        28,
        "bda52e518f06f7b8103b306599cc0da8d9561ca37b9b6511",
    ),
    (75, False): (
        24,
        "9d872ab2babf4b2dd5826a20e87f511370c05f64161238f1cf3acf7bb7e10b852ee4f93a7b9e",
    ),
}
TABLES_SHA256 = "3827769e22f46f94288ef5755f4fcdf0d3b6beac2942bddcb0b9495cf5c61d57"


def levels_of(rows: int, columns: int, component: int) -> np.ndarray:
    """Levels by a formula in whole numbers: large means, few and small others, falling with the frequency."""
    row, column, u, v = np.indices((rows, columns, 8, 8))
    wave = (7 * row + 5 * column + 3 * u + 11 * v + 2 * component) % 13 - 6
    rest = np.where((u + v > 0) & (u + v < 3), wave * (wave % 3 == component % 3) // (1 + u + v), 0)
    means = np.where(u + v == 0, (row - column) * 9 - 4 * component, 0)
    return (rest + means).astype(np.int32)


def picture(quality: int, halved: bool) -> Coefficients:
    shape = PictureShape(24, 16, halved)
    levels = tuple(levels_of(*shape.blocks(component), component) for component in range(COMPONENTS))
    return Coefficients(shape, quality, levels)


@pytest.mark.parametrize(("quality", "halved"), VECTORS)
def test_codeword(quality: int, halved: bool) -> None:
    coefficients = picture(quality, halved)
    grade, codeword = encode((coefficients,), shipped_tables())
    assert (grade, codeword.hex()) == VECTORS[quality, halved]
    (found,) = decode([coefficients.shape], quality, grade, codeword, shipped_tables())
    for component in range(COMPONENTS):
        assert np.array_equal(found.levels[component], coefficients.levels[component])


def test_tables() -> None:
    data = (Path(contexts.__file__).parent / "coefficient_tables.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == TABLES_SHA256
