"""One array through ``nncodec`` (ISO/IEC 15938-17) in the environment that has it: bytes of a request in, bytes out.

::

    standard input: a line of JSON {"op", "rows", "columns", "qp", "rdo", "head"}, then float32 values or a bare stream
    standard output: the length of the left-out head (1 byte) and the bare stream; or float32 values

This file is a program of its own and imports nothing of Heliograph: the Python of another environment runs it, with
``numpy<2`` and ``nncodec`` alone. ``nncodec`` imports PyTorch and torchvision for the models that it can open, and the
module that does is replaced by an empty one. What it prints goes to standard error.

*Bare*: without the start unit, the parameter sets and the head of the data unit, which are the same for every array of
a shape and setting. Whoever decodes makes them from an array of its own; whoever encodes rebuilds and compares.
"""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

_FRAMEWORK = "nncodec.framework"
DATA_UNIT, MAX_HEAD = 18, 33
SIZE = slice(DATA_UNIT, DATA_UNIT + 2)  # of the data unit, in its first bytes
WAYS = ({"use_dq": False, "lambda_scale": 0.0}, {"use_dq": True, "lambda_scale": 0.75})
"""Uniform, and trellis-coded with rate-distortion optimised choices."""

_MEMORY_BYTES, _PROCESSOR_S, _FILE_BYTES, _FILES = 1 << 30, 10, 1 << 24, 64
_WHOLE = 0
_NAME = "0"


def without_frameworks() -> None:
    """Empty modules in place of those that open models of PyTorch and TensorFlow."""
    package = types.ModuleType(_FRAMEWORK)
    package.__path__ = []  # which makes it a package
    sys.modules[_FRAMEWORK] = package
    for name in ("tensorflow_model", "pytorch_model", "use_case_init"):
        module = types.ModuleType(f"{_FRAMEWORK}.{name}")
        setattr(package, name, module)
        sys.modules[module.__name__] = module


def bounded() -> None:
    """Bounds of this process: memory, processor time, files; no dump of its memory."""
    import resource  # of POSIX alone

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR_S, _PROCESSOR_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))


def common_head(streams: Sequence[bytes]) -> int:
    """How many leading bytes all streams share, the size of the data unit aside."""
    masked = [one[: SIZE.start] + bytes(2) + one[SIZE.stop : MAX_HEAD] for one in streams]
    length = 0
    while length < min(map(len, masked)) and len({one[length] for one in masked}) == 1:
        length += 1
    return length


def rebuilt(head: bytes, body: bytes) -> bytes:
    """The stream of a head (of any stream of the setting) and what is sent of one."""
    size = len(head) - DATA_UNIT + len(body)
    return head[: SIZE.start] + size.to_bytes(2, "big") + head[SIZE.stop :] + body


def compressed(values: Any, qp: int, way: int) -> bytes:
    """The whole stream of an array (rows, columns) float32."""
    from nncodec import nnc

    return bytes(nnc.compress({_NAME: values}, qp=qp, bitstream_path=os.devnull, return_bitstream=True, **WAYS[way]))


def usual(rows: int, columns: int) -> Any:
    """An array that both ends have, for the head: its stream is like any other's up to the first coded bit."""
    import numpy as np

    return (np.arange(rows * columns, dtype=np.float32).reshape(rows, columns) % 17 - 8) * 3


def encoded(asked: Mapping[str, Any], data: bytes) -> bytes:
    """Length of the head, 0 where all of the stream follows, and the rest of it."""
    import numpy as np

    values = np.frombuffer(data, dtype="<f4").reshape(asked["rows"], asked["columns"])
    stream = compressed(values, asked["qp"], asked["rdo"])
    known = compressed(usual(*values.shape), asked["qp"], asked["rdo"])
    head = common_head([stream, known])
    if head < DATA_UNIT + 2 or rebuilt(known[:head], stream[head:]) != stream:
        return bytes([_WHOLE]) + stream
    return bytes([head]) + stream[head:]


def decoded(asked: Mapping[str, Any], data: bytes) -> bytes:
    """The values, float32, row by row."""
    import numpy as np
    from nncodec import nnc

    rows, columns, head = asked["rows"], asked["columns"], asked["head"]
    stream = data
    if head != _WHOLE:
        known = compressed(usual(rows, columns), asked["qp"], asked["rdo"])
        stream = rebuilt(known[:head], data)
    found = np.asarray(nnc.decompress(bytearray(stream), verbose=False)[_NAME], dtype="<f4")
    if found.shape != (rows, columns):
        raise SystemExit("the stream holds an array of another shape")
    return bytes(found.tobytes())


def main() -> None:
    """One request."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints
    bounded()
    asked = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    without_frameworks()
    answer.write((encoded if asked["op"] == "encode" else decoded)(asked, data))
    answer.flush()


if __name__ == "__main__":
    main()
