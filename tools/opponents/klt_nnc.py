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

import json
import sys
import types
from pathlib import Path

import numpy as np

_FRAMEWORK = "nncodec.framework"
_DATA_UNIT, _MAX_HEAD = 18, 33
_SIZE = slice(_DATA_UNIT, _DATA_UNIT + 2)  # of the data unit, in its first bytes
_WAYS = {"0.0": ({"use_dq": False, "lambda_scale": 0.0}, 2), "0.75": ({"use_dq": True, "lambda_scale": 0.75}, 0)}
"""By the weight of rate: options, and how much coarser the steps are for about the bytes of a level."""


def without_frameworks() -> None:
    """Empty modules in place of those that open models of PyTorch and TensorFlow."""
    package = types.ModuleType(_FRAMEWORK)
    package.__path__ = []
    sys.modules[_FRAMEWORK] = package
    for name in ("tensorflow_model", "pytorch_model", "use_case_init"):
        module = types.ModuleType(f"{_FRAMEWORK}.{name}")
        setattr(package, name, module)
        sys.modules[module.__name__] = module


def common_head(streams: list[bytes]) -> int:
    """How many leading bytes all streams share, the size of the data unit aside."""
    masked = [one[: _SIZE.start] + bytes(2) + one[_SIZE.stop : _MAX_HEAD] for one in streams]
    length = 0
    while length < min(map(len, masked)) and len({one[length] for one in masked}) == 1:
        length += 1
    return length


def rebuilt(head: bytes, body: bytes) -> bytes:
    """The stream of a head (of any stream of the setting) and what is sent of one."""
    size = len(head) - _DATA_UNIT + len(body)
    return head[: _SIZE.start] + size.to_bytes(2, "big") + head[_SIZE.stop :] + body


def main(folder: Path) -> None:
    """Writes ``answer.npz``."""
    without_frameworks()
    from nncodec import nnc

    coefficients = np.load(folder / "coefficients.npy").astype(np.float32)
    levels = json.loads((folder / "request.json").read_text())["levels"]
    found, heads = {}, []
    for way, (options, coarser) in _WAYS.items():
        for qp in sorted({level // 2 + coarser - 1 for level in levels[1:-2]}):
            streams, restored = [], []
            for one in coefficients:
                rows = np.ascontiguousarray(one.T)
                stream = nnc.compress(
                    {"0": rows}, qp=qp, bitstream_path=str(folder / "one.nnc"), return_bitstream=True, **options
                )
                streams.append(bytes(stream))
                restored.append(np.asarray(nnc.decompress(bytearray(stream), verbose=False)["0"]).T)
            head = common_head(streams)
            if any(rebuilt(streams[0][:head], one[head:]) != one for one in streams):
                raise SystemExit("a stream without its head cannot be rebuilt")
            heads.append(head)
            found[f"qp={qp},rdo={way}/bytes"] = np.array([len(one) - head for one in streams])
            found[f"qp={qp},rdo={way}/coefficients"] = np.stack(restored).astype(np.float32)
    note = f"without {min(heads)} to {max(heads)} head bytes that every photo of a setting shares, and rebuilt exactly"
    np.savez(folder / "answer.npz", note=np.array(note), **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
