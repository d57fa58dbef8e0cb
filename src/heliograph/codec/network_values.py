"""The weights of an ONNX network, looked at before the network runs: numbers, and of a size that float32 bears.

A weight that is no number, or so large that its square is none, need not show in what a network makes: a norm that
overflows gives zeros, and what follows is the same for every photo. So the weights themselves are looked at, in pieces
of a bounded size, wherever the file says that they lie. Single values are passed over: networks hold the ends of
ranges and the mark of a masked place in such.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from heliograph.codec.onnx_files import StoredWeight, stored_weights
from heliograph.codec.protobuf import network_damaged
from heliograph.reading.files import open_regular
from heliograph.reasons import BundleFault, FileFault
from heliograph.types import LARGEST_WEIGHT

_CHUNK = 1 << 20
_FLOAT32, _FLOAT16, _FLOAT64, _BFLOAT16 = 1, 10, 11, 16
_ITEM_BYTES = {_FLOAT32: 4, _FLOAT16: 2, _FLOAT64: 8, _BFLOAT16: 2}


def check_values(path: Path) -> None:
    """Refuse a network with a weight that is not finite, or 2**20 and more in size.

    Args:
        path: of the network; files that its tensors name lie beside it.

    Raises:
        BundleDamagedError: such a weight, a file that is not there or too short, or no network.
    """
    weights: dict[str, list[StoredWeight]] = {}
    for weight in stored_weights(path):
        weights.setdefault(weight.file or path.name, []).append(weight)
    for name, held in weights.items():
        with open_regular(path.with_name(name), error=network_damaged, links=False) as file:
            size = os.fstat(file.fileno()).st_size
            for weight in held:
                _check(file, size, weight)


def _check(file: BinaryIO, size: int, weight: StoredWeight) -> None:
    end = size if weight.end is None else weight.end
    if not 0 <= weight.begin <= end <= size:
        raise network_damaged(FileFault.LENGTH)
    if weight.count <= 1 or weight.kind not in _ITEM_BYTES:  # integers are numbers whatever they are
        return
    for values in _pieces(file, weight.begin, end, weight.kind):
        if not np.all(np.isfinite(values)):
            raise network_damaged(BundleFault.NOT_FINITE)
        if not -LARGEST_WEIGHT < float(values.min()) <= float(values.max()) < LARGEST_WEIGHT:
            raise network_damaged(BundleFault.RANGE)


def _pieces(file: BinaryIO, begin: int, end: int, kind: int) -> Iterator[npt.NDArray[np.floating]]:
    item = _ITEM_BYTES[kind]
    whole = begin + (end - begin) // item * item
    file.seek(begin)
    for at in range(begin, whole, _CHUNK):
        data = file.read(min(_CHUNK, whole - at))
        if len(data) != min(_CHUNK, whole - at):
            raise network_damaged(FileFault.LENGTH)
        if kind == _BFLOAT16:  # the upper half of a float32
            yield (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        else:
            yield np.frombuffer(data, f"<f{item}")
