#!/usr/bin/env bash
# What:        pillow-heif 1.8.1 with Pillow 13.0.0
# Seen:        2026-11-29
# Naive guess: a photo whose EXIF data says "turn me by 90 degrees" (as phones write it) goes through
#              pillow_heif.from_pillow(photo).save(file) and comes back upright, as it does through photo.save(file).
# Seen:        from_pillow turns the pixels as EXIF says, and saving writes the same turn into the file once more. So the
#              file opens lying on its side, with orientation 1: nothing tells that it is wrong. photo.save() is right.
# Product:     not affected: it only reads HEIC, and the pictures that its bench writes carry no EXIF data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 pillow-heif==1.8.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
ORIENTATION, TURN = 0x0112, 6

lying = Image.new("RGB", (64, 32), (255, 0, 0))  # left half blue, right half red
lying.paste((0, 0, 255), (0, 0, 32, 32))
exif = Image.Exif()
exif[ORIENTATION] = TURN
jpeg = io.BytesIO()
lying.save(jpeg, "JPEG", exif=exif, quality=95)
photo = Image.open(io.BytesIO(jpeg.getvalue()))
upright = ImageOps.exif_transpose(photo).size

by_plugin, by_hand = io.BytesIO(), io.BytesIO()
photo.save(by_plugin, "HEIF", quality=95)
pillow_heif.from_pillow(photo).save(by_hand, quality=95)

found = {}
for name, file in (("photo.save", by_plugin), ("from_pillow(photo).save", by_hand)):
    opened = Image.open(io.BytesIO(file.getvalue()))
    found[name] = ImageOps.exif_transpose(opened).size
    print(f"{name}: {found[name]}, orientation {opened.getexif().get(ORIENTATION)}, upright is {upright}")

as_seen = found["photo.save"] == upright and found["from_pillow(photo).save"] == upright[::-1]
sys.exit(0 if as_seen else 1)
PYTHON
