"""Data folders that lie beside the checkout, for tests that are left out where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.bench.data import data_folder
from heliograph.errors import DataMissingError

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def data_or_skip(name: str) -> Path:
    """The folder; a test is left out only where it is really not there."""
    try:
        return data_folder(name)
    except DataMissingError:
        assert not (BESIDE / name).is_dir(), "the data is there and was not found"
        pytest.skip(f"the data folder {name} is not beside this checkout")
