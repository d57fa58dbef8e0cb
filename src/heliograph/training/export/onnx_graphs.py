"""The two networks of a bundle as ONNX graphs: the vision encoder, and the language model for local answers.

Exported by tracing, from the model's own modules with its own weights; nothing of the model is changed.
Traced with ``dynamo=False``: the newer exporter needs onnxscript and gains nothing for these fixed graphs.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from heliograph.training.export.onnx_weights import compact_weights
from heliograph.vlm.square_encoder import SquareEncoder

OPSET = 18
_TRACED_NEW, _TRACED_PAST = 9, 5


class LanguageGraph(nn.Module):
    """One step of the language model with its cache.

    Inputs: ``input_ids`` (1, L) int64; ``image_features`` (M, D) for the M <image> ids among them, 0 rows
    after the first step; ``past_keys`` and ``past_values`` (layers, heads, P, head size).
    Outputs: ``logits`` (1, V) after the last id, and keys and values over P + L positions.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.text, self.head = model.model.text_model, model.lm_head
        self.image_token_id = int(model.config.image_token_id)

    def forward(
        self, input_ids: Tensor, image_features: Tensor, past_keys: Tensor, past_values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        embedded = self.text.get_input_embeddings()(input_ids)  # (1, L, D)
        is_image = input_ids == self.image_token_id
        order = (is_image.long().cumsum(-1) - 1).clamp(min=0)
        features = torch.cat([image_features, torch.zeros_like(embedded[0, :1])])  # never empty
        embedded = torch.where(is_image[..., None], features[order], embedded)
        cache = DynamicCache(config=self.text.config)
        for layer in range(self.text.config.num_hidden_layers):
            cache.update(past_keys[layer][None], past_values[layer][None], layer)
        past, new = past_keys.shape[2], input_ids.shape[1]
        places = torch.arange(new) + past
        hidden = torch.arange(past + new)[None] > places[:, None]
        bias = torch.where(hidden, torch.finfo(torch.float32).min, 0.0)[None, None]  # (1, 1, L, P + L)
        made = self.text(inputs_embeds=embedded, attention_mask=bias, position_ids=places[None], past_key_values=cache)
        layers: list[Any] = list(cache.layers)
        keys, values = torch.cat([layer.keys for layer in layers]), torch.cat([layer.values for layer in layers])
        return self.head(made.last_hidden_state[:, -1]), keys, values


def export_encoder(model: Any, path: Path, side: int) -> None:
    """Write the vision encoder for square frames of ``side`` pixels."""
    trace_square(SquareEncoder(model), path, side)


def trace_square(encoder: nn.Module, path: Path, side: int) -> None:
    """Write a module from pixels (1, 3, side, side) to visual tokens (1, N, D)."""
    pixels = torch.zeros(1, 3, side, side)
    trace(encoder, (pixels,), path, input_names=["pixel_values"], output_names=["tokens"])


def export_language_model(model: Any, path: Path) -> None:
    """Write the language model; L, M and P are free, everything else is fixed."""
    sizes = model.model.text_model.config
    cached = torch.zeros(
        sizes.num_hidden_layers, sizes.num_key_value_heads, _TRACED_PAST, sizes.hidden_size // sizes.num_attention_heads
    )
    ids = torch.full((1, _TRACED_NEW), int(model.config.image_token_id))
    given = (ids, torch.zeros(_TRACED_NEW, sizes.hidden_size), cached, cached.clone())
    trace(
        LanguageGraph(model),
        given,
        path,
        input_names=["input_ids", "image_features", "past_keys", "past_values"],
        output_names=["logits", "present_keys", "present_values"],
        dynamic_axes={
            "input_ids": {1: "new"},
            "image_features": {0: "visual"},
            "past_keys": {2: "past"},
            "past_values": {2: "past"},
            "present_keys": {2: "all"},
            "present_values": {2: "all"},
        },
    )


def trace(module: nn.Module, given: tuple[Tensor, ...], path: Path, **names: Any) -> None:
    """Write a module as an ONNX graph, traced on example inputs; keywords as ``torch.onnx.export`` takes them."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every shape that it fixes, which is what we want
        torch.onnx.export(module.eval(), given, str(path), dynamo=False, opset_version=OPSET, **names)
    compact_weights(path)


def prompt_pieces(prompts: Any, processor: Any, model: Any, end_ids: frozenset[int]) -> Mapping[str, Any]:
    """What the device needs to build the processor's prompt without transformers (``local_prompt.json``)."""
    before, after = prompts.around_question()
    control = {str(token): number for number, token in processor.tokenizer.added_tokens_decoder.items()}
    return {
        "head_ids": list(prompts.build("what?", 1).head),
        "before": before,
        "after": after,
        "image_token_id": int(model.config.image_token_id),
        "control_tokens": control,
        "end_ids": sorted(end_ids),
        "max_positions": int(model.config.text_config.max_position_embeddings),
    }
