"""Opponent ``klt-older``: ``klt`` of another build of Heliograph, with the bundle that it ships, at byte budgets.

``PYTHONPATH=OTHER/src python older.py FOLDER``, see ``heliograph.bench.bytes.opponents``. On real photos it fits its
own ``klt`` first, as its suite ``photos`` does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from heliograph.codec.klt import KltCodec
from heliograph.types import Grid, VisualTokens


def codec_for(photos: bool) -> KltCodec:
    """The shipped codec, or one fitted on the fitting photos."""
    if photos:
        from heliograph.bench.photos.mobilenet import load_split_features
        from heliograph.bench.photos.suite import fit_codec

        return fit_codec(load_split_features())
    from heliograph.reference.assets import shipped_bundle_folder

    return KltCodec.load(shipped_bundle_folder())


def main(folder: Path) -> None:
    """Writes ``answer.npz``."""
    request = json.loads((folder / "request.json").read_text())
    codec = codec_for(request["photos"])
    grid = Grid(codec.grid.rows, codec.grid.columns)
    budgets, sizes, tokens = request["budgets"], [], []
    for values in np.load(folder / "tokens.npy"):
        encoded = codec.encode(VisualTokens(values, grid), max_bytes=max(budgets))
        header, data = encoded.header, b"".join(encoded.segments)
        prefixes = [data[: budget - len(header)] for budget in budgets]
        sizes.append([len(header) + len(one) for one in prefixes])
        tokens.append([codec.decode(header, [one]).values for one in prefixes])
    found = {}
    for place, budget in enumerate(budgets):
        found[f"max_bytes={budget}/bytes"] = np.array([one[place] for one in sizes])
        found[f"max_bytes={budget}/tokens"] = np.stack([one[place] for one in tokens])
    np.savez(folder / "answer.npz", note=np.array("everything, its header of 3 bytes included"), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
