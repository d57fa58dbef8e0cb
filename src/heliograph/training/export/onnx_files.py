"""Graphs with their weights, wherever these lie.

onnx 1.23 takes a weights file that has more than one hard link for an attack, and installers such as uv make hard links
to their caches (findings/onnx-refuses-weights-that-uv-installed.sh). What is installed is read here without its help.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto

from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundlePart, FileFault


def load_whole(path: Path) -> onnx.ModelProto:
    """A graph whose weights are all within it.

    Args:
        path: of the graph; weights outside it lie in files of the same folder.

    Raises:
        BundleDamagedError: weights are said to lie in another folder, or are not all there.
    """
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = _content(path.parent, tensor)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return model


def _content(folder: Path, tensor: TensorProto) -> bytes:
    facts = {entry.key: entry.value for entry in tensor.external_data}
    name, offset, length = facts["location"], int(facts.get("offset", 0)), int(facts.get("length", -1))
    if Path(name).name != name:
        raise BundleDamagedError(BundlePart.NETWORK, FileFault.CONTENT)
    try:
        with (folder / name).open("rb") as file:
            file.seek(offset)
            content: bytes = file.read(length)
    except OSError as error:
        raise BundleDamagedError(BundlePart.NETWORK, FileFault.UNREADABLE) from error
    if 0 <= length != len(content):
        raise BundleDamagedError(BundlePart.NETWORK, FileFault.LENGTH)
    return content
