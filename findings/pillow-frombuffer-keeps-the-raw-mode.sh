#!/usr/bin/env bash
# What:        Pillow 13.0.0
# Seen:        2026-11-29
# Naive guess: Image.frombuffer("RGB", size, data, "raw", "RGBX", 0, 1) gives a picture of mode "RGB", as it was asked for
#              and as Image.frombytes does with the same arguments: three bands, the padding byte dropped.
# Seen:        its mode is "RGBX" and numpy sees four bands; frombytes gives "RGB" and three. Code that checks the mode
#              it asked for, or counts on H x W x 3, breaks only where the quicker call is used.
# Product:     not affected: rows of large photos are put together with numpy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from PIL import Image

data = bytes([1, 2, 3, 255, 4, 5, 6, 255])  # two pixels of four bytes
shared = Image.frombuffer("RGB", (2, 1), data, "raw", "RGBX", 0, 1)
copied = Image.frombytes("RGB", (2, 1), data, "raw", "RGBX")
for name, picture in (("frombuffer", shared), ("frombytes", copied)):
    print(f'{name}("RGB", ..., "RGBX"): mode {picture.mode}, array {np.asarray(picture).shape}')
as_seen = (shared.mode, np.asarray(shared).shape) == ("RGBX", (1, 2, 4)) and copied.mode == "RGB"
sys.exit(0 if as_seen else 1)
PYTHON
