"""Stands in for the worker of nncodec, with the same requests and answers: rounds to steps of 2 ** (qp / 8), then zlib.

A stream that is damaged ends it with an error, as nncodec's do. Further words on the command line have it misbehave.
"""

from __future__ import annotations

import json
import sys
import time
import zlib

import numpy as np

HEAD = b"HEAD"


def main() -> None:
    asked = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    print("a library that prints", file=sys.stderr)
    step = 2 ** (asked["qp"] / 8)
    if "hang" in sys.argv:
        time.sleep(60)
    if "shout" in sys.argv:
        sys.stdout.buffer.write(bytes(1 << 20))
        return
    if asked["op"] == "encode":
        values = np.frombuffer(data, "<f4").reshape(asked["rows"], asked["columns"])
        body = zlib.compress(np.clip(np.rint(values / step), -32000, 32000).astype("<i2").tobytes(), 9)
        sys.stdout.buffer.write(bytes([len(HEAD)]) + body)
        return
    try:
        levels = np.frombuffer(zlib.decompress(data), "<i2")
    except zlib.error:
        raise SystemExit("No proper stop at the end of the stream.") from None
    sys.stdout.buffer.write((levels * step).astype("<f4").tobytes())


if __name__ == "__main__":
    main()
