"""Headers of safetensors files: read as the library writes them, refused where they do not add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from heliograph.errors import FileUnreadableError
from heliograph.reading.tensor_file import read_header
from heliograph.reasons import FileFault

ITEM_BYTES = {"F32": 4, "U8": 1}


def read(path: Path, **bounds: Any) -> Any:
    limits = {"max_header_bytes": 1000, "max_tensors": 2, "max_bytes": 1000, **bounds}
    return read_header(path, item_bytes=ITEM_BYTES, **limits)


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(dtype: str, shape: list[Any], begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_as_the_library_writes_it(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(5, dtype=np.uint8)}
    save_file(arrays, str(tmp_path / "it"), metadata={"x": "y"})
    data = (tmp_path / "it").read_bytes()
    found = read(tmp_path / "it")
    assert {name: (one.dtype, one.shape) for name, one in found.items()} == {"a": ("F32", (2, 3)), "b": ("U8", (5,))}
    for name, one in found.items():
        assert data[slice(*one.place)] == arrays[name].tobytes()
    for bound in ({"max_header_bytes": 50}, {"max_tensors": 0}, {"max_bytes": len(data) - 1}):
        with pytest.raises(FileUnreadableError) as refused:
            read(tmp_path / "it", **bound)
        assert refused.value.fault is FileFault.TOO_LARGE


@pytest.mark.parametrize(
    ("header", "size", "reason"),
    [
        ({"a": entry("F64", [1], 0, 8)}, 8, FileFault.CONTENT),  # no such type
        ({"a": entry("F32", [2], 0, 4)}, 4, FileFault.CONTENT),
        ({"a": entry("U8", [2**40, 2**40], 0, 4)}, 4, FileFault.CONTENT),
        ({"a": entry("U8", [-1, -4], 0, 4)}, 4, FileFault.CONTENT),
        ({"a": entry("U8", [4], 0, 4)}, 3, FileFault.LENGTH),
        ({"a": entry("U8", [4], 0, 4)}, 5, FileFault.LENGTH),
        ({"a": entry("U8", [4], 1, 5)}, 5, FileFault.LENGTH),
        ({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, 3, FileFault.LENGTH),
        ({"a": entry("U8", [True], 0, 1)}, 1, FileFault.CONTENT),
        ({"a": entry("U8", [1.0], 0, 1)}, 1, FileFault.CONTENT),
        ({"a": entry("U8", [1] * 9, 0, 1)}, 1, FileFault.CONTENT),
        ({"a": {"dtype": "U8"}}, 0, FileFault.CONTENT),
        ({"a": 7}, 0, FileFault.CONTENT),
        ([], 0, FileFault.CONTENT),
        (b'{"a":', 0, FileFault.NOT_JSON),
        (b"", 0, FileFault.LENGTH),
    ],
)
def test_what_does_not_add_up(tmp_path: Path, header: Any, size: int, reason: FileFault) -> None:
    with pytest.raises(FileUnreadableError) as found:
        read(write(tmp_path / "it", header, bytes(size)))
    assert found.value.fault is reason


def test_a_length_beyond_the_file(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes((2**63).to_bytes(8, "little") + b"{}")
    with pytest.raises(FileUnreadableError) as found:
        read(tmp_path / "it")
    assert found.value.fault is FileFault.LENGTH
    (tmp_path / "it").write_bytes(b"\x02\0")
    with pytest.raises(FileUnreadableError) as found:
        read(tmp_path / "it")
    assert found.value.fault is FileFault.LENGTH
