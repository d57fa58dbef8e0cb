#!/usr/bin/env bash
# What:        nncodec 2.1.3 (MPEG NNC, ISO/IEC 15938-17), NumPy 1.26.4
# Seen:        2026-11-30
# Naive guess: compress({"x": array}, qp=q) quantises the array with the step of q, whatever its shape.
# Seen:        an array of one dimension is taken for a bias and coded with nonweight_qp (-75, a step far below float32's
#              precision of such values): every qp gives the same bytes, three to fifteen times those of the same numbers
#              as a matrix, and no error to speak of. One row of a matrix is enough to be quantised.
# Product:     tools/opponents/klt_nnc.py gives it matrices; a comparison on flattened tensors would have flattered klt.
# Takes:       some minutes, for nncodec is compiled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps nncodec==2.1.3
"$folder/venv/bin/python" - "$folder/stream.nnc" <<'PYTHON'
import sys
import types

# Empty modules in place of those that open models of PyTorch and TensorFlow, which are not needed for arrays.
package = types.ModuleType("nncodec.framework")
package.__path__ = []
sys.modules[package.__name__] = package
for name in ("tensorflow_model", "pytorch_model", "use_case_init"):
    module = types.ModuleType(f"{package.__name__}.{name}")
    setattr(package, name, module)
    sys.modules[module.__name__] = module

import numpy as np
from nncodec import nnc

matrix = np.random.default_rng(0).normal(0, 10, (48, 64)).astype(np.float32)
qps = (-8, 0, 8, 16)
found = {}
for name, array in (("matrix", matrix), ("one row", matrix.reshape(1, -1)), ("vector", matrix.reshape(-1))):
    sizes = []
    for qp in qps:
        stream = nnc.compress(
            {"x": array}, qp=qp, bitstream_path=sys.argv[1], return_bitstream=True, use_dq=False, lambda_scale=0.0
        )
        restored = np.asarray(nnc.decompress(bytearray(stream), verbose=False)["x"]).reshape(array.shape)
        sizes.append(len(stream))
        error = float(np.sqrt(np.mean(np.square(restored - array))))
        print(f"{name:8} qp {qp:3}: {len(stream):5} bytes, error {error:.2g}")
    found[name] = sizes
as_seen = (
    len(set(found["vector"])) == 1
    and found["vector"][0] > 3 * found["matrix"][0]
    and sorted(found["matrix"], reverse=True) == found["matrix"] != [found["matrix"][0]] * len(qps)
    and all(abs(row - square) < 8 for row, square in zip(found["one row"], found["matrix"]))
)
sys.exit(0 if as_seen else 1)
PYTHON
