#!/usr/bin/env bash
# What:        torch 2.13.0, torch.utils.flop_counter.FlopCounterMode, on a processor
# Seen:        2026-11-30
# Naive guess: the counter counts attention, as its documentation says of matrix products, convolutions and attention.
# Seen:        scaled_dot_product_attention of tensors in main memory counts nothing: it becomes one operator,
#              _scaled_dot_product_flash_attention_for_cpu, that is not in the counter's list. On the device meta, and with the
#              backend MATH, the same call is made of products, which are counted. A vision tower of 1,024 patches loses 18 % so.
# Product:     heliograph.bench.macs counts with the backend MATH, and a test holds both numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention as attention
from torch.utils.flop_counter import FlopCounterMode


def counted(device, backend=None):
    q = torch.zeros(1, 4, 10, 8, device=device)
    with FlopCounterMode(display=False) as counter:
        if backend is None:
            attention(q, q, q)
        else:
            with sdpa_kernel(backend):
                attention(q, q, q)
    return counter.get_total_flops()


right = 2 * 2 * 4 * 10 * 10 * 8
found = {"cpu": counted("cpu"), "cpu, MATH": counted("cpu", SDPBackend.MATH), "meta, MATH": counted("meta", SDPBackend.MATH)}
for name, flops in found.items():
    print(f"{name:12} {flops:6} of {right}")
sys.exit(0 if list(found.values()) == [0, right, right] else 1)
PYTHON
