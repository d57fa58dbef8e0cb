"""Stand-ins for the field model's parts: a tiny Llama with a tokenizer of SmolLM2's kind, a tower of two stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from heliograph.training.field.checkpoint import REPLACED, build_model, build_processor
from heliograph.vlm.efficientnet_lite import Tower, TowerConfig

SIDE, GRID = 24, 2
_WORDS = (" dog", " snow")
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", REPLACED)


def tiny_tokenizer(*, spare: bool = True) -> PreTrainedTokenizerFast:
    """Bytes, two words, and the special tokens of SmolLM2 that matter; without the one that is spared if ``spare`` is
    false."""
    special = [one for one in _SPECIAL if spare or one != REPLACED]
    vocabulary = {one: place for place, one in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(special)
    made.add_tokens(list(_WORDS))
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )


def tiny_language_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Two layers of width 32, random weights, tied embeddings."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.2)  # near zero a model says one token for ever
    return model


def tiny_tower_config() -> TowerConfig:
    """Three cells along a side of 24 pixels, and two tokens."""
    return TowerConfig(hidden_size=16, image_size=SIDE, stages=[[1, 3, 2, 1, 8], [2, 5, 2, 2, 8]], grid=GRID)


def tiny_vision() -> dict[str, torch.Tensor]:
    """Random weights of the tower's convolutions."""
    torch.manual_seed(1)
    tower = Tower(tiny_tower_config())
    for weight in tower.parameters():
        if weight.dim() == 4:
            torch.nn.init.kaiming_normal_(weight)  # else nothing of a picture is left after a few layers
    return {name: value for name, value in tower.state_dict().items() if not name.startswith(("norm", "positions"))}


def tiny_field() -> tuple[Any, Any]:
    """``(LLaVA, processor)`` without an alignment."""
    tokenizer = tiny_tokenizer()
    processor = build_processor(tokenizer, SIDE, GRID)
    torch.manual_seed(2)
    model = build_model(tiny_language_model(tokenizer), tiny_vision(), processor.image_token_id, tiny_tower_config())
    return model, processor


def write_tiny_field(folder: Path) -> Path:
    """The same as a checkpoint."""
    model, processor = tiny_field()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
