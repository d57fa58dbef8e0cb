"""Tiny models of three kinds of families with random weights, as folders that any loader opens."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.reference.recipe import IMAGE, build_reference_model
from heliograph.vlm.checkpoint.processors import load_processor
from heliograph.vlm.families.shrink import tiny_config

LIVELY = 0.2  # of weights: near zero a model says one token for ever
_CHAT = (
    "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
    "{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}\n{% endfor %}"
)


def photo_folder(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """So many coloured noises."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, size in enumerate(sizes):
        noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / f"{seed:03d}.png")
    return folder


def llava(folder: Path) -> Path:
    """The same square grid for every photo."""
    from transformers import CLIPImageProcessor, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = load_processor(str(build_reference_model(folder / "reference"))).tokenizer
    config = tiny_config("llava")
    config.text_config.vocab_size = len(tokenizer)
    config.image_token_id = config.image_token_index = tokenizer.convert_tokens_to_ids(IMAGE)
    side = config.vision_config.image_size
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}),
        tokenizer,
        patch_size=config.vision_config.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT,
        image_token=IMAGE,
    )
    processor.save_pretrained(folder)
    return _saved(LlavaForConditionalGeneration(config), folder, tokenizer)


def idefics3_in_tiles(folder: Path) -> Path:
    """The reference model's family, with photos split into tiles."""
    build_reference_model(folder, seed=5)
    processor = load_processor(str(folder))
    processor.image_processor.do_image_splitting = True
    processor.image_processor.size = {"longest_edge": 256}
    processor.save_pretrained(folder)
    return folder


def _saved(model: Any, folder: Path, tokenizer: Any) -> Path:
    from transformers import GenerationConfig

    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=LIVELY)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, do_sample=False)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def families(request: pytest.FixtureRequest) -> SimpleNamespace:
    """What builds them."""

    def qwen3_vl(folder: Path) -> Path:
        source: Path = request.getfixturevalue("tiny_qwen3_vl")  # skips where the processor's files are not at hand
        return Path(shutil.copytree(source, folder, dirs_exist_ok=True))

    return SimpleNamespace(qwen3_vl=qwen3_vl, llava=llava, idefics3_in_tiles=idefics3_in_tiles, photos=photo_folder)
