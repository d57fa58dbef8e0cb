#!/usr/bin/env bash
# What:        rapidocr 3.10.0 with onnxruntime 1.32.0, its own models inside the package
# Seen:        2026-11-30
# Naive guess: options given to a call of an engine, such as use_rec=False for places of text alone, are of that call; the next
#              call without options reads as the first one did.
# Seen:        they stay. After one call with use_rec=False the same engine finds places alone for ever, and gives an object of
#              another class, without the attribute txts, where the same call gave texts before. use_rec=True brings them back.
# Product:     the suite second-look has one engine for places, made without the reading part, and another for reading.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
pip="$folder/venv/bin/pip install --quiet --disable-pip-version-check"
$pip rapidocr==3.10.0 onnxruntime==1.32.0 pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import logging
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

logging.disable(logging.CRITICAL)
from rapidocr import RapidOCR

picture = Image.new("RGB", (400, 120), "white")
ImageDraw.Draw(picture).text((20, 30), "HELLO 42", fill="black", font=ImageFont.load_default(48))
pixels = np.asarray(picture)

engine = RapidOCR()
calls = [("first call", engine(pixels)), ("use_rec=False", engine(pixels, use_rec=False)), ("third call", engine(pixels))]
calls.append(("use_rec=True", engine(pixels, use_rec=True)))
found = [(name, type(made).__name__, getattr(made, "txts", None)) for name, made in calls]
for name, kind, texts in found:
    print(f"{name:14} {kind:16} {texts}")
texts = [one[2] for one in found]
sys.exit(0 if texts == [("HELLO 42",), None, None, ("HELLO 42",)] else 1)
PYTHON
