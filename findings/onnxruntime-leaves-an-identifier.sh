#!/usr/bin/env bash
# What:        onnxruntime 1.32.0, official wheel for Linux x86-64
# Seen:        2026-11-30
# Naive guess: on Linux a session reads its network, computes, and leaves nothing behind; telemetry is for Windows alone,
#              and disable_telemetry_events() after the import turns off what there is.
# Seen:        making one session writes an identifier of this device and a database of events into the cache folder, and a
#              call of disable_telemetry_events() before it does not prevent that; with ORT_DISABLE_TELEMETRY=1 set
#              before the library is loaded nothing is written.
# Product:     heliograph/__init__.py sets the variable where it is not set; a test looks into an empty home folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.22.0
cat >"$folder/session.py" <<'PYTHON'
import sys

import onnxruntime
from onnx import TensorProto, helper

if "disable" in sys.argv:
    onnxruntime.disable_telemetry_events()
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Abs", ["x"], ["y"])], "g", value[:1], value[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
PYTHON
left() { # home folder, arguments: what a session leaves there
    mkdir -p "$folder/$1"
    env -u XDG_CACHE_HOME HOME="$folder/$1" "${@:2}" >/dev/null 2>&1
    find "$folder/$1" -type f -printf '%P\n' | sort
}
python="$folder/venv/bin/python"
usual=$(left usual "$python" "$folder/session.py")
called=$(left called "$python" "$folder/session.py" disable)
switched=$(left switched env ORT_DISABLE_TELEMETRY=1 "$python" "$folder/session.py")
printf 'usual:\n%s\ndisable_telemetry_events():\n%s\nORT_DISABLE_TELEMETRY=1:\n%s\n' "$usual" "$called" "$switched"
[ -n "$usual" ] && [ -n "$called" ] && [ -z "$switched" ]
