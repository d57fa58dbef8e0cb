"""Checkpoint folders of families that are not the reference: few and random weights, real processors and templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import GenerationConfig

from heliograph.reference.recipe import build_tokenizer
from heliograph.vlm.families.shrink import tiny_config

_SIDE, _PATCH, _STRIDES = 256, 16, 4  # of the OCR families, whose projector halves each side twice
_TEMPLATE = (
    "{% for message in messages %}User:{% for part in message['content'] %}{% if part['type'] == 'image' %}PLACE"
    "{% else %} {{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}{% if add_generation_prompt %}Assistant:"
    "{% endif %}"
)


def write_folder(folder: Path, kind: str, *, template_start: str = "") -> Path:
    """A checkpoint of ``llava``, ``got_ocr2`` or ``pp_chart2table``; ``template_start`` goes before its template."""
    tokenizer = build_tokenizer()
    config = tiny_config(kind)
    place = "<image>" if kind == "llava" else "<imgpad>"
    tokenizer.add_special_tokens({"additional_special_tokens": [place]})
    if kind != "llava":
        config.vision_config.image_size = _SIDE
    config.image_token_index = config.image_token_id = tokenizer.convert_tokens_to_ids(place)
    config.text_config.vocab_size = len(tokenizer)
    config.text_config.pad_token_id = tokenizer.pad_token_id
    shown = place * ocr_tokens() if kind == "pp_chart2table" else place  # this one leaves that to the template
    processor = _processor(kind, config.vision_config.image_size, config.vision_config.patch_size, tokenizer)
    processor.chat_template = tokenizer.chat_template = template_start + _TEMPLATE.replace("PLACE", shown)
    torch.manual_seed(0)
    model = transformers.AutoModelForImageTextToText.from_config(config).float()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.2) if weight.dim() > 1 else weight.normal_(1.0, 0.1)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def ocr_tokens() -> int:
    """Visual tokens of one photo in the OCR families' folders."""
    return (_SIDE // _PATCH // _STRIDES) ** 2


def _processor(kind: str, side: int, patch: int, tokenizer: Any) -> Any:
    square = {"height": side, "width": side}
    if kind == "llava":
        images = transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square)
        return transformers.LlavaProcessor(
            images, tokenizer, patch_size=patch, vision_feature_select_strategy="default", num_additional_image_tokens=1
        )
    if kind == "got_ocr2":
        return transformers.GotOcr2Processor(transformers.GotOcr2ImageProcessorPil(size=square), tokenizer)
    return transformers.PPChart2TableProcessor(transformers.PPChart2TableImageProcessorPil(size=square), tokenizer)
