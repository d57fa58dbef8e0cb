"""A checkpoint of Qwen3-VL's architecture with its real tokenizer and processor, and few, random weights.

A grid for every photo's size, and two deeper levels beside the tokens: the hardest of the general families, in a
size that loads in a moment. What it answers means nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from heliograph.vlm.checkpoint.processors import load_processor

_WIDTH = {"hidden_size": 32, "intermediate_size": 64}
_WEIGHT_SPREAD = 0.2  # near zero a model says one token for ever


def build_tiny_qwen3_vl(folder: Path, processor: Path, seed: int = 0) -> Path:
    """Writes the checkpoint and returns its folder.

    Args:
        folder: made if absent.
        processor: folder with Qwen3-VL's own tokenizer and processor files.
        seed: of the weights.
    """
    from transformers import GenerationConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    for file in processor.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = load_processor(str(folder)).tokenizer
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_dict(_values(tokenizer))).float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=_WEIGHT_SPREAD)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, do_sample=False)
    model.save_pretrained(folder)
    return folder


def _values(tokenizer: Any) -> dict[str, Any]:
    """The configuration's values, with this tokenizer's ids."""
    from transformers import Qwen3VLConfig

    values: dict[str, Any] = Qwen3VLConfig().to_dict()
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    rope = {"rope_theta": 1e4, "rope_type": "default", "mrope_section": [4, 2, 2]}
    values["text_config"] |= {**_WIDTH, **heads, "num_hidden_layers": 2, "rope_parameters": rope}
    values["text_config"]["vocab_size"] = len(tokenizer)
    values["vision_config"] |= {**_WIDTH, "depth": 2, "num_heads": 2, "out_hidden_size": 32}
    values["vision_config"] |= {"patch_size": 16, "deepstack_visual_indexes": [0, 1]}
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    return values | {key: tokenizer.convert_tokens_to_ids(name) for key, name in names.items()}
