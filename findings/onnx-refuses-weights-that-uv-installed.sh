#!/usr/bin/env bash
# What:        onnx 1.23.2 with uv 0.9.13 (onnxruntime 1.32.0 beside it), Linux, cache and environment on one file system
# Seen:        2026-11-30
# Naive guess: a graph whose weights lie in a file beside it loads from an installed package as it does from a checkout.
# Seen:        uv installs by hard links to its cache. onnx.load takes a weights file with more than one link for an attack
#              and raises ValidationError; the same wheel installed by pip, which copies, loads. ONNX Runtime reads both.
# Product:     MACs of shipped graphs are counted with weights left to ONNX Runtime (heliograph/bench/onnx_macs.py), and
#              trainings that go on from shipped graphs read their weights themselves (training/export/onnx_files.py); tests
#              count and read graphs whose weights have a second link.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 uv==0.9.13 numpy setuptools wheel
mkdir -p "$folder/source/weighty"
cd "$folder/source"
touch weighty/__init__.py
printf '[project]\nname = "weighty"\nversion = "1"\n[tool.setuptools]\npackages = ["weighty"]\n[tool.setuptools.package-data]\nweighty = ["*"]\n' >pyproject.toml
"$folder/venv/bin/python" - <<'PY'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

weights = numpy_helper.from_array(np.eye(64, dtype=np.float32), "w")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])],
    "one",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
    [weights],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.save(model, "weighty/net.onnx", save_as_external_data=True, location="net.weights", size_threshold=0)
PY
"$folder/venv/bin/pip" wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w "$folder/dist" .
export UV_CACHE_DIR="$folder/cache"
seen=""
for way in pip uv; do
    target="$folder/$way"
    if [ "$way" = pip ]; then
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$target" "$folder"/dist/*.whl
    else
        "$folder/venv/bin/uv" pip install --quiet --no-deps --target "$target" "$folder"/dist/*.whl
    fi
    line=$("$folder/venv/bin/python" - "$target/weighty" <<'PY'
import os
import sys

import onnx
import onnxruntime

folder = sys.argv[1]
try:
    onnx.load(f"{folder}/net.onnx")
    found = "loads"
except Exception as refused:
    found = f"refuses ({type(refused).__name__})"
onnxruntime.InferenceSession(f"{folder}/net.onnx", providers=["CPUExecutionProvider"])
print(f"{os.stat(f'{folder}/net.weights').st_nlink} link(s): onnx {found}, onnxruntime loads")
PY
    )
    echo "installed by $way: $line"
    seen="$seen|$line"
done
[ "$seen" = "|1 link(s): onnx loads, onnxruntime loads|2 link(s): onnx refuses (ValidationError), onnxruntime loads" ]
