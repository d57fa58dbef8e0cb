#!/usr/bin/env bash
# What:        rapidocr 3.10.0 with onnxruntime 1.32.0, its own models inside the package
# Seen:        2026-12-01
# Naive guess: a small crop is read quickly, a crop of one line most quickly of all; the option limit_side_len, 736, is the
#              longest edge that the text detector sees.
# Seen:        limit_type is "min", so that 736 is the shortest edge: a picture is enlarged until its shorter edge has 736
#              pixels, whatever the other one becomes. A line of 96 x 480 pixels goes into the network as 736 x 3,680, 59
#              times its pixels and 5 times those of a page of 736 x 736; with limit_type "max" it stays as it is.
# Product:     the reader and the detector set Det.limit_type to "max" and choose the size themselves (heliograph/edge/reader.py);
#              a test counts the pixels that the network is given for a line.
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


def line(height, width):
    picture = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).text((20, height // 3), "HELLO 42", fill="black", font=ImageFont.load_default(32))
    return np.asarray(picture)


def given(engine, picture):
    """Height and width of what the detector's network gets."""
    engine(picture)  # its parts are made at the first call
    detector = engine.text_det
    network, seen = detector.session, []

    def watched(values):
        seen.append(values.shape[2:])
        return network(values)

    detector.session = watched
    engine(picture)
    detector.session = network
    return seen[0]


usual = RapidOCR()
bounded = RapidOCR(params={"Det.limit_type": "max"})
found = []
for height, width in ((96, 480), (480, 480), (736, 736)):
    picture = line(height, width)
    row = (height, width), tuple(map(int, given(usual, picture))), tuple(map(int, given(bounded, picture)))
    found.append(row)
    times = row[1][0] * row[1][1] / (height * width)
    print(f'{height:4} x {width:4}: network gets {row[1][0]} x {row[1][1]} ({times:.1f} times the pixels); limit_type "max": {row[2][0]} x {row[2][1]}')
expected = [
    ((96, 480), (736, 3680), (96, 480)),
    ((480, 480), (736, 736), (480, 480)),
    ((736, 736), (736, 736), (736, 736)),
]
sys.exit(0 if found == expected else 1)
PYTHON
