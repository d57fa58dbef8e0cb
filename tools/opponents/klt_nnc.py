"""Opponent ``klt-nnc``: coefficients of ``klt``'s transform through MPEG NNC (ISO/IEC 15938-17), by ``nncodec`` 2.1.3.

``python klt_nnc.py FOLDER``, see ``heliograph.bench.bytes.opponents``. Needs ``numpy<2`` and ``nncodec`` alone, in an
environment of its own: ``nncodec`` imports PyTorch and torchvision for the models that it can open, and the module that
does is replaced by an empty one.

Components are rows, which the standard's coder likes better than positions. Two ways of quantising are tried at each
step: uniform, and trellis-coded with rate-distortion optimised choices. Bare bytes: without start unit, parameter sets
and the head of the data unit, which are the same for every photo of a setting; with the unit's size, which the frame
around it tells, each stream is rebuilt and compared.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

_WORKER = Path(__file__).parents[2] / "src" / "heliograph" / "strategies" / "split" / "nnc_worker.py"
_WAYS = {"0.0": (0, 2), "0.75": (1, 0)}
"""By the weight of rate: the way of the worker, and how much coarser the steps are for about the bytes of a level."""


def worker() -> Any:
    """The program of the strategies, as a module: what is left out of a stream, and how, is there."""
    spec = importlib.util.spec_from_file_location("nnc_worker", _WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(folder: Path) -> None:
    """Writes ``answer.npz``."""
    shared = worker()
    shared.without_frameworks()
    from nncodec import nnc

    coefficients = np.load(folder / "coefficients.npy").astype(np.float32)
    levels = json.loads((folder / "request.json").read_text())["levels"]
    found, heads = {}, []
    for way, (number, coarser) in _WAYS.items():
        for qp in sorted({level // 2 + coarser - 1 for level in levels[1:-2]}):
            streams, restored = [], []
            for one in coefficients:
                rows = np.ascontiguousarray(one.T)
                stream = shared.compressed(rows, qp, number)
                streams.append(stream)
                restored.append(np.asarray(nnc.decompress(bytearray(stream), verbose=False)["0"]).T)
            head = shared.common_head(streams)
            if any(shared.rebuilt(streams[0][:head], one[head:]) != one for one in streams):
                raise SystemExit("a stream without its head cannot be rebuilt")
            heads.append(head)
            found[f"qp={qp},rdo={way}/bytes"] = np.array([len(one) - head for one in streams])
            found[f"qp={qp},rdo={way}/coefficients"] = np.stack(restored).astype(np.float32)
    note = f"without {min(heads)} to {max(heads)} head bytes that every photo of a setting shares, and rebuilt exactly"
    np.savez(folder / "answer.npz", note=np.array(note), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
