"""Finds data folders that lie beside the checkout; nothing here is part of the package."""

from __future__ import annotations

import os
from pathlib import Path

from heliograph.config import DATA_VARIABLE
from heliograph.errors import DataMissingError


def data_folder(name: str) -> Path:
    """The folder ``name`` (``textvqa-dev``, ``mobilenet-v2`` ...) of the data at hand.

    Looked for in the folder that the environment variable ``HELIOGRAPH_DATA`` names, else in ``../shared/data``
    beside the checkout and beside the working directory.

    Raises:
        DataMissingError: it is in none of these places.
    """
    named = os.environ.get(DATA_VARIABLE)
    if named:
        roots = [Path(named)]
    else:
        checkout = Path(__file__).resolve().parents[3]
        roots = [checkout.parent / "shared" / "data", Path.cwd().parent / "shared" / "data"]
    for root in roots:
        if (root / name).is_dir():
            return root / name
    raise DataMissingError().noted(
        f"no folder {name} in {' or '.join(map(str, roots))}: set {DATA_VARIABLE} to the folder that holds it."
    )
