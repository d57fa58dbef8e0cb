"""A file is there whole or not at all; a disk that refuses costs the newest state only, and has a name."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.errors import OutputUnwritableError
from heliograph.training.files import refusals_named, replacing


@contextmanager
def full_disk(max_bytes: int) -> Iterator[None]:
    """No file may grow beyond ``max_bytes``: the nearest thing to a full disk that needs no privileges."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for value in (1, 2):
        with replacing(path) as partial:
            np.savez(partial, x=np.full(3, value))
    assert np.load(path)["x"].tolist() == [2, 2, 2]
    assert list(tmp_path.iterdir()) == [path]


WRITERS: dict[str, Callable[[Path], None]] = {
    "numpy": lambda path: np.savez(path, x=np.zeros(100_000)),
    "torch": lambda path: torch.save({"x": torch.zeros(100_000)}, path),
}


def broken(path: Path) -> None:
    path.write_bytes(b"half")
    raise KeyError


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_has_a_name_and_leaves_what_was_there(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(b"before")
    with pytest.raises(OutputUnwritableError), full_disk(10_000), replacing(path) as partial:
        WRITERS[writer](partial)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyError), replacing(tmp_path / "a") as partial:
        broken(partial)
    assert list(tmp_path.iterdir()) == []


def test_refusals_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritableError), refusals_named():
        (tmp_path / "missing" / "a").write_bytes(b"x")
