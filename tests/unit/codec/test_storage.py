"""Tables on disk: every type comes back as it was, and what no codec writes is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from heliograph.codec.storage import read_arrays, stored_grid, write_arrays
from heliograph.errors import BundleDamagedError
from heliograph.types import Grid

TYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_comes_back(dtype: str, tmp_path: Path) -> None:
    array = np.array([[0, 1, 2], [3, 100, 127]], dtype=dtype)
    write_arrays(tmp_path / "new", "it", {"b": [1], "a": "x"}, {"one": array, "turned": array.T})
    facts, arrays = read_arrays(tmp_path / "new", "it")
    assert facts == {"a": "x", "b": [1]}
    assert {name: one.dtype.name for name, one in arrays.items()} == {"one": dtype, "turned": dtype}
    np.testing.assert_array_equal(arrays["one"], array)
    np.testing.assert_array_equal(arrays["turned"], array.T)
    assert (tmp_path / "new" / "it.safetensors").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("dtype", ["uint16", "bool", "complex64"])
def test_no_other_type_is_written(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_arrays(tmp_path, "it", {}, {"one": np.zeros(3, dtype=dtype)})
    assert not (tmp_path / "it.safetensors").exists()


def stored(folder: Path, arrays: dict[str, Any], metadata: dict[str, str] | None) -> Path:
    save_file(arrays, str(folder / "it.safetensors"), metadata=metadata)
    return folder


FACTS = {"heliograph": "{}"}


@pytest.mark.parametrize(
    ("arrays", "metadata"),
    [
        ({"one": np.zeros(3, dtype=np.uint16)}, FACTS),
        ({"one": np.zeros((1, 1, 1, 1, 1), dtype=np.uint8)}, FACTS),
        ({"one": np.zeros((0, 3), dtype=np.uint8)}, FACTS),
        ({"one": np.zeros(3, dtype=np.uint8)}, None),
        ({"one": np.zeros(3, dtype=np.uint8)}, {"other": "{}"}),
        ({"one": np.zeros(3, dtype=np.uint8)}, {"heliograph": "[]"}),
        ({"one": np.zeros(3, dtype=np.uint8)}, {"heliograph": "{"}),
        ({f"n{number}": np.zeros(1, dtype=np.uint8) for number in range(4097)}, FACTS),
        ({"one": np.zeros(1, dtype=np.uint8)}, {"heliograph": json.dumps({"a": "x" * (1 << 22)})}),
    ],
)
def test_what_no_codec_writes_is_refused(
    arrays: dict[str, Any], metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    with pytest.raises(BundleDamagedError):
        read_arrays(stored(tmp_path, arrays, metadata), "it")


def test_the_most_that_is_read(tmp_path: Path) -> None:
    arrays = {f"n{number}": np.ones((1, 1, 1, 1), dtype=np.uint8) for number in range(4096)}
    assert len(read_arrays(stored(tmp_path, arrays, FACTS), "it")[1]) == 4096


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleDamagedError):
        read_arrays(tmp_path, "it")


def test_the_grid_of_stored_facts() -> None:
    assert stored_grid({"grid": [2, 3, 4, 50, 60]}) == Grid(2, 3, 4, 50, 60)
    for wrong in (
        None,
        [2, 3, 4, 50],
        [2, 3, 4, 50, 60, 7],
        [2, 3, 4, 50, 60.0],
        [2, 3, 4, 50, True],
        [0, 3, 4, 50, 60],
    ):
        with pytest.raises(BundleDamagedError):
            stored_grid({"grid": wrong})
