#!/usr/bin/env bash
# What:        onnxruntime 1.32.0, official wheel for Linux x86-64
# Seen:        2026-11-30
# Naive guess: session.run(["tokens"], ...) computes what leads to that output; further outputs of a graph are free until
#              somebody asks for them, at least with RunOptions.only_execute_path_to_fetches.
# Seen:        every output of the graph is computed, whichever is asked for, with and without that option: a Relu
#              node beside an output of six matrix products takes as long as all of it.
# Product:     training/export/onnx_attention.py makes outputs of values that are on the way to the tokens anyway, and
#              leaves products that only some strategies want to edge/attention.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.22.0
ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'PYTHON'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

SIDE = 800
border = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in ("x", "cheap", "dear")]
names = ["x", *(f"product{number}" for number in range(5)), "dear"]
nodes = [helper.make_node("MatMul", [one, "x"], [other]) for one, other in zip(names, names[1:])]
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["cheap"]), *nodes], "g", border[:1], border[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
only = onnxruntime.RunOptions()
only.only_execute_path_to_fetches = True
given = {"x": np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)}


def milliseconds(*arguments):
    taken = []
    for _ in range(7):
        started = time.process_time()
        session.run(*arguments)
        taken.append(1000 * (time.process_time() - started))
    return min(taken)


cheap, pruned, both = milliseconds(["cheap"], given), milliseconds(["cheap"], given, only), milliseconds(None, given)
print(f"the cheap output {cheap:.1f} ms, with only_execute_path_to_fetches {pruned:.1f} ms, both {both:.1f} ms")
assert cheap > 0.7 * both and pruned > 0.7 * both
PYTHON
