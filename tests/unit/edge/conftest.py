"""A random-weight reference model with the two networks that a bundle holds, exported by the oldest of means.

The real exporter has tests of its own; these fixtures pin the border that the device expects of it, with torch's
tracing exporter, which needs nothing but torch.
"""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class ExportedReference:
    """Torch model and, beside each other in ``folder``, encoder.onnx, language_model.onnx and the prompt's files."""

    vlm: Any
    folder: Path
    grid: Any
    hidden_size: int


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedReference:
    pytest.importorskip("torch", reason="needs the cloud extra to export a network")
    from heliograph.reference.recipe import build_reference_model
    from heliograph.vlm.model import VisionLanguageModel

    folder = tmp_path_factory.mktemp("exported")
    checkpoint = build_reference_model(folder / "checkpoint", seed=3)
    vlm = VisionLanguageModel.load(str(checkpoint))
    _export_encoder(vlm.torch_model, folder / "encoder.onnx", vlm.input_size)
    _export_language_model(vlm.torch_model, folder / "language_model.onnx")
    shutil.copy(checkpoint / "tokenizer.json", folder)
    (folder / "local_prompt.json").write_text(json.dumps(_prompt_pieces(vlm)), encoding="utf-8")
    return ExportedReference(vlm, folder, vlm.grid, vlm.hidden_size)


def _prompt_pieces(vlm: Any) -> dict[str, Any]:
    head = vlm.prompts.build("what?", 1).head
    rendered = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "QUESTION"}]}],
        add_generation_prompt=True,
    )
    before, _, after = rendered.rpartition("<image>")[2].partition("QUESTION")
    control = {str(t): i for i, t in vlm.processor.tokenizer.added_tokens_decoder.items()}
    return {
        "head_ids": head,
        "before": before,
        "after": after,
        "image_token_id": vlm.torch_model.config.image_token_id,
        "control_tokens": {name: number for name, number in control.items() if name.startswith("<")},
        "end_ids": sorted(vlm.decoder.end_ids),
        "max_positions": vlm.torch_model.config.text_config.max_position_embeddings,
    }


def _traced(module: Any, given: tuple[Any, ...], path: Path, **names: Any) -> None:
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), given, str(path), dynamo=False, opset_version=18, **names)


def _export_encoder(model: Any, path: Path, side: int) -> None:
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            tower, connector = self.model.model.vision_model, self.model.model.connector
            # A whole square frame has its patches at places 0, 1, 2 ...; the model's own bucketing does not trace.
            patches = tower.embeddings.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
            placed = patches + tower.embeddings.position_embedding.weight
            return connector(tower.post_layernorm(tower.encoder(inputs_embeds=placed).last_hidden_state))

    pixels = torch.zeros(1, 3, side, side)
    _traced(Encoder(), (pixels,), path, input_names=["pixel_values"], output_names=["tokens"])


def _export_language_model(model: Any, path: Path) -> None:
    import torch
    from transformers import DynamicCache

    text = model.model.text_model
    sizes = text.config

    class LanguageModel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text, self.head = text, model.lm_head

        def forward(self, input_ids: Any, image_features: Any, past_keys: Any, past_values: Any) -> Any:
            embedded = self.text.get_input_embeddings()(input_ids)
            is_image = input_ids == model.config.image_token_id
            order = (is_image.long().cumsum(-1) - 1).clamp(min=0)
            features = torch.cat([image_features, torch.zeros_like(embedded[0, :1])])
            embedded = torch.where(is_image[..., None], features[order], embedded)
            cache = DynamicCache(config=sizes)
            for layer in range(sizes.num_hidden_layers):
                cache.update(past_keys[layer][None], past_values[layer][None], layer)
            past, new = past_keys.shape[2], input_ids.shape[1]
            places = torch.arange(new) + past
            hidden = torch.arange(past + new)[None] > places[:, None]
            bias = torch.where(hidden, torch.finfo(torch.float32).min, 0.0)[None, None]
            made = self.text(
                inputs_embeds=embedded, attention_mask=bias, position_ids=places[None], past_key_values=cache
            )
            keys = torch.cat([layer.keys for layer in cache.layers])
            values = torch.cat([layer.values for layer in cache.layers])
            return self.head(made.last_hidden_state[:, -1]), keys, values

    cached = torch.zeros(
        sizes.num_hidden_layers, sizes.num_key_value_heads, 5, sizes.hidden_size // sizes.num_attention_heads
    )
    ids = torch.full((1, 9), model.config.image_token_id)
    _traced(
        LanguageModel(),
        (ids, torch.zeros(9, sizes.hidden_size), cached, cached.clone()),
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
