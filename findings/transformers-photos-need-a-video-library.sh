#!/usr/bin/env bash
# What:        transformers 5.23.0 (Pillow 13.0.0, no torchvision)
# Seen:        2026-11-29
# Naive guess: Qwen2VLProcessor for photos alone: backend="pil" chooses the Pillow image processor, which needs no
#              torchvision; and where torchvision is missed, the error says so.
# Seen:        from_pretrained(folder, backend="pil") asks the *video* processor for a Pillow backend too, which none has,
#              and the whole processor fails to load; AutoImageProcessor and AutoProcessor of families without a video
#              half take the same argument. Built from parts, Qwen2VLProcessor(image_processor, tokenizer), it fails with
#              an AttributeError about a mapping's "_extra_content" that names neither videos nor torchvision.
# Product:     processors are built without their video half (heliograph.vlm.checkpoint.processors); tested for every family with one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 pillow==13.0.0 numpy==2.4.6
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder/checkpoint" <<'PYTHON'
import sys

from tokenizers import Tokenizer, models
from transformers import (
    AutoImageProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
)

folder = sys.argv[1]
tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"?": 0}, unk_token="?")), unk_token="?")
images = Qwen2VLImageProcessorPil()
tokenizer.save_pretrained(folder)
images.save_pretrained(folder)


def outcome(make):
    try:
        return type(make()).__name__
    except Exception as error:  # the kind of error is what is shown
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


photos = outcome(lambda: AutoImageProcessor.from_pretrained(folder, backend="pil"))
whole = outcome(lambda: Qwen2VLProcessor.from_pretrained(folder, backend="pil"))
parts = outcome(lambda: Qwen2VLProcessor(image_processor=images, tokenizer=tokenizer))
for name, text in (("AutoImageProcessor", photos), ("Qwen2VLProcessor", whole), ("from its parts", parts)):
    print(f"{name}: {text}")
as_seen = (
    photos == "Qwen2VLImageProcessorPil"
    and whole.startswith("ImportError")
    and "pil backend" in whole
    and parts.startswith("AttributeError")
    and "_extra_content" in parts
)
sys.exit(0 if as_seen else 1)
PYTHON
