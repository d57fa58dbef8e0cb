#!/usr/bin/env bash
# What:        Pillow 13.0.0 with the libavif 1.4.2 of its wheel
# Seen:        2026-11-30
# Naive guess: save(..., "AVIF", quality=q) has 101 qualities, and every step changes the file.
# Seen:        quality 0, 1 and 2 write the very same bytes, and below 100 many neighbours do: the qualities are laid onto
#              64 quantisers. A sweep in steps of one encodes much twice, and a search for "the best quality that fits"
#              ends on any of several equal ones.
# Product:     heliograph.bench sweeps qualities far apart; bare AVIF pictures state the quantiser, not the quality.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

from PIL import Image

picture = Image.new("RGB", (64, 64))
picture.putdata([((7 * x + 3 * y) % 256, (x * y) % 256, (5 * x + 11 * y) % 256) for y in range(64) for x in range(64)])
files = []
for quality in range(101):
    file = io.BytesIO()
    picture.save(file, "AVIF", quality=quality, max_threads=1)
    files.append(file.getvalue())
lowest = len({files[0], files[1], files[2]})
print(f"files of the qualities 0, 1 and 2: {lowest}; of all 101 qualities: {len(set(files))}")
sys.exit(0 if lowest == 1 and len(set(files)) < 80 else 1)
PYTHON
