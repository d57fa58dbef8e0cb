"""Checkpoints with the true shapes of models that people use, and random weights: for time, memory and bytes.

``python -m heliograph.bench.device.true_shapes smolvlm-256m FOLDER`` or ``qwen3-vl-2b FOLDER --processor DIR``. What
such a model answers means nothing, and its tokens are those of an untrained tower: whatever is measured on it has to
say so.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from heliograph.errors import DataMissingError
from heliograph.vlm.checkpoint.processors import load_processor

SMOLVLM, QWEN3_VL = "smolvlm-256m", "qwen3-vl-2b"
_SMOLVLM_SIDE = 512
_PROCESSOR_FILES = ("*.json", "*.txt", "*.jinja")


def build_smolvlm(folder: Path, seed: int = 0) -> Path:
    """SmolVLM-256M-Instruct: 512 x 512 pixels, 1,024 patches of width 768, 64 tokens x 576 per frame; photos are split.

    Args:
        folder: made if absent.
        seed: of the weights.
    """
    from transformers import Idefics3ForConditionalGeneration

    from heliograph.reference.recipe import build_processor

    processor = build_processor()
    images = processor.image_processor
    images.size, images.max_image_size = {"longest_edge": 4 * _SMOLVLM_SIDE}, {"longest_edge": _SMOLVLM_SIDE}
    images.do_image_splitting = True
    processor.image_seq_len = 64
    config = smolvlm_config(processor)
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(config).eval()
    text = config.text_config
    model.generation_config.eos_token_id = text.eos_token_id
    model.generation_config.pad_token_id = text.pad_token_id
    model.config.heliograph_weights = _random(seed)
    model.half().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def smolvlm_config(processor: Any) -> Any:
    """An Idefics3 configuration with shapes as in the checkpoint's config.json; the vocabulary is that of
    ``processor``, our own small tokenizer."""
    from transformers import Idefics3Config

    from heliograph.reference.recipe import END, IMAGE, PAD, START

    pad, start, end, image = (processor.tokenizer.convert_tokens_to_ids(name) for name in (PAD, START, END, IMAGE))
    text: dict[str, Any] = {
        "model_type": "llama",
        "vocab_size": len(processor.tokenizer),
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "pad_token_id": pad,
        "bos_token_id": start,
        "eos_token_id": end,
    }
    vision: dict[str, Any] = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": _SMOLVLM_SIDE,
        "patch_size": 16,
    }
    return Idefics3Config(text_config=text, vision_config=vision, scale_factor=4, image_token_id=image)


def build_qwen3_vl(folder: Path, processor: Path, seed: int = 0) -> Path:
    """Qwen3-VL-2B: patches of 16 pixels, merged 2 x 2, width 1,024, 24 layers; tokens of 2,048 channels and as many for
    each of three deepstack levels.

    Args:
        folder: made if absent.
        processor: folder with the model's own tokenizer and processor files.
        seed: of the weights.

    Raises:
        DataMissingError: no processor there.
    """
    from transformers import GenerationConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    if not (processor / "preprocessor_config.json").is_file():
        raise DataMissingError().noted(f"{processor}: there is no preprocessor_config.json in it.")
    tokenizer = load_processor(str(processor)).tokenizer
    values: dict[str, Any] = Qwen3VLConfig().to_dict()
    values["text_config"] |= {
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 2,  # 28 in truth; tokens do not depend on them
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20]},
    }
    values["vision_config"] |= {
        "depth": 24,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "deepstack_visual_indexes": [5, 11, 17],
    }
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    values |= {key: tokenizer.convert_tokens_to_ids(name) for key, name in names.items()}
    values["tie_word_embeddings"] = True
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_dict(values)).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.config.heliograph_weights = _random(seed)
    model.save_pretrained(folder)
    for pattern in _PROCESSOR_FILES:
        for path in processor.glob(pattern):
            shutil.copyfile(path, folder / path.name)
    return folder


def _random(seed: int) -> str:
    """What ``config.json`` says of the weights."""
    return f"random (seed {seed})"


def main() -> None:
    """The command in the module's first line."""
    parser = argparse.ArgumentParser(description="A checkpoint with true shapes and random weights.")
    parser.add_argument("shape", choices=(SMOLVLM, QWEN3_VL))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processor", type=Path, help="qwen3-vl-2b: folder of its processor")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.shape == QWEN3_VL:
        if given.processor is None:
            parser.error("--processor is needed")
        made = build_qwen3_vl(given.folder, given.processor, given.seed)
    else:
        made = build_smolvlm(given.folder, given.seed)
    print(json.dumps({"shape": given.shape, "folder": str(made), "weights": "random", "seed": given.seed}))


if __name__ == "__main__":
    main()
