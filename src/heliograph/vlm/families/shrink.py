"""Any family's default configuration, shrunk until its model has well under a million weights.

Names of sizes are nearly the same in all families, so rules by name do most of it; what a family needs beside them is
in ``OVERRIDES``. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH, HEADS, KEY_HEADS, LAYERS, VOCABULARY = 64, 4, 2, 2, 320
PATCHES = 4
"""Patches per side of a picture."""

_LAYER_COUNTS = frozenset(
    [
        "num_hidden_layers",
        "depth",
        "num_layers",
        "n_layers",
        "n_layer",
        "encoder_layers",
        "decoder_layers",
        "layers",
        "vision_layers",
    ]
)
_WIDTHS = frozenset(
    [
        "hidden_size",
        "d_model",
        "embed_dim",
        "n_embd",
        "dim",
        "out_hidden_size",
        "projection_dim",
        "word_embed_proj_dim",
        "encoder_hidden_size",
        "projector_hidden_size",
        "hidden_dim",
        "vision_hidden_size",
        "text_hidden_size",
        "projection_hidden_size",
        "vision_output_dim",
        "vision_embed_dim",
        "mm_hidden_size",
        "output_dim",
        "projector_intermediate_size",
        "adapter_hidden_size",
        "projector_input_dim",
        "projector_output_dim",
        "intermediate_size",
        "ffn_dim",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
        "mlp_dim",
        "ffn_hidden_size",
        "moe_intermediate_size",
        "shared_expert_intermediate_size",
        "intermediate_size_mlp",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
        "dense_intermediate_size",
    ]
)
_FIXED = {
    **dict.fromkeys(["num_attention_heads", "num_heads", "n_heads", "n_head", "encoder_attention_heads"], HEADS),
    **dict.fromkeys(["decoder_attention_heads", "attention_heads", "resampler_n_heads"], HEADS),
    **dict.fromkeys(["num_key_value_heads", "n_kv_heads", "num_kv_heads", "num_global_key_value_heads"], KEY_HEADS),
    **dict.fromkeys(["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"], 4),
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "max_position_embeddings": 512,
    "num_query_tokens": 8,
    "max_window_layers": 2,
    "sliding_window": 64,
    "hidden_size_per_layer_input": 16,
    "vocab_size": VOCABULARY,
    "vocab_size_per_layer_input": VOCABULARY,
}
_TEXT_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_FIRST_SPECIAL = 10
_OPAQUE = frozenset({"rope_scaling", "id2label", "label2id"})

_PINPOINTS = [[56, 112], [112, 56]]
_MORE_KEY_HEADS = {"text_config": {"num_key_value_heads": HEADS}}

_GEMMA4_VISION = {
    "model_type": "gemma4_vision",
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "head_dim": WIDTH // HEADS,
    "position_embedding_size": 64,
}

OVERRIDES: dict[str, dict[str, Any]] = {
    "gemma3": {"mm_tokens_per_image": 4},
    "shieldgemma2": {"mm_tokens_per_image": 4},
    "llava_next": {"image_grid_pinpoints": _PINPOINTS},
    "llava_next_video": {"image_grid_pinpoints": _PINPOINTS},
    "llava_onevision": {"image_grid_pinpoints": _PINPOINTS},
    "vipllava": {"vision_feature_layers": [-1, -2, -2, -1, 1]},
    "glm5_next": {
        "text_config": {
            "num_key_value_heads": HEADS,
            "linear_head_dim": 16,
            "linear_num_heads": HEADS,
            "index_n_heads": HEADS,
            "index_head_dim": 16,
        }
    },
    "mistral_large4": _MORE_KEY_HEADS,
    "dots3_note": _MORE_KEY_HEADS,
    "llama4": {"vision_config": {"intermediate_size": 256, "projector_output_dim": 64, "projector_input_dim": 64}},
    "cohere_compass": {
        "text_config": {
            "rope_parameters": {
                kind: {"rope_type": "default", "rope_theta": 10000.0}
                for kind in ("full_attention", "sliding_attention")
            }
        }
    },
    "ernie4_5_vl_moe": {"text_config": {"moe_k": 2, "rope_parameters": {"mrope_section": [3, 3, 2]}}},
    "muse_glimmer": {"out_hidden_size": 4 * WIDTH},
    "muse_spark": {"out_hidden_size": 4 * WIDTH},
    "gemma4": {"vision_config": _GEMMA4_VISION},
    "granite4_vision": {
        "deepstack_layer_map": [[-1, 0], [-2, 1]],
        "spatial_target_layers": [0, 0, 1, 1],
        "image_grid_pinpoints": [[128, 256], [256, 128]],
    },
    "kimi_k25": {
        "text_config": {"qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "num_key_value_heads": HEADS}
    },
    "deepseek_vl_hybrid": {"high_res_vision_config": {"global_attn_indexes": [0]}},
    "aria": {"projector_patch_to_query_dict": {PATCHES**2: 8}},
    "t5gemma2": {"encoder": {"mm_tokens_per_image": 4}},
    "blip-2": {"image_token_index": 9},
    "instructblip": {"image_token_index": 9},
    "minicpmv4_6": {"image_token_id": 9},
    "minicpmv4_7": {"image_token_id": 9},
    "minicpm_ocr": {"image_token_id": 9},
    "nemotron_h_omni": {"image_token_id": 9},
    "qwen2_5_omni_thinker": {"vision_start_token_id": 9},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 9},
    "step3p7": {"text_config": {"sliding_window": 64}},
    "molmo2": {"adapter_config": {"vision_feature_layer": [1, 0]}},
}


def tiny_config(kind: str) -> Any:
    """A tiny configuration of one family, by transformers' ``model_type``.

    Raises:
        Exception: whatever the family's configuration class finds wrong with it.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    made = CONFIG_MAPPING[kind]
    values = _shrunk(made().to_dict(), {})
    _merge(values, OVERRIDES.get(kind, {}))
    config = made.from_dict(values)
    config._attn_implementation = "eager"
    return config


def _shrunk(values: Mapping[Any, Any], special: dict[str, int]) -> dict[Any, Any]:
    """``special`` hands out the ids of special tokens, one number for each name."""
    depths = {v for k, v in values.items() if k in _LAYER_COUNTS and isinstance(v, int) and v > LAYERS}
    made: dict[Any, Any] = {}
    for key, value in values.items():
        if isinstance(value, (list, tuple)) and len(value) in depths:
            made[key] = _first_layers(list(value))
        elif key == "per_layer_config":
            continue  # names layers that are gone
        elif key == "rope_parameters" and isinstance(value, dict):
            made[key] = _rope(value, values)
        elif isinstance(value, dict):
            made[key] = value if key in _OPAQUE else _shrunk(value, special)
        else:
            made[key] = _small(str(key), value, values, special)
    return made


def _small(key: str, value: Any, values: Mapping[Any, Any], special: dict[str, int]) -> Any:
    if key == "head_dim":
        return WIDTH // HEADS
    if key == "eos_token_id" and isinstance(value, list):
        return _TEXT_IDS[key]
    if key == "deepstack_visual_indexes":
        return list(range(LAYERS))
    if key == "fullatt_block_indexes":
        return [LAYERS - 1]
    patch = values.get("patch_size")
    side = PATCHES * (patch if isinstance(patch, int) else 14)
    if key == "image_size" and isinstance(value, (list, tuple)):
        return [side] * len(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if key.endswith(("_token_id", "_token_index")):
        return _TEXT_IDS.get(key, special.setdefault(key, _FIRST_SPECIAL + len(special)))
    if key == "image_size":
        return side
    if key in _LAYER_COUNTS:
        return LAYERS
    return WIDTH if key in _WIDTHS else _FIXED.get(key, value)


def _first_layers(kinds: list[Any]) -> list[Any]:
    """One entry per layer, of two different kinds where there are two, a layer of full attention among them."""
    distinct = list(dict.fromkeys(kinds)) if all(isinstance(kind, str) for kind in kinds) else []
    if "full_attention" in distinct and len(distinct) > 1:
        return [next(kind for kind in distinct if kind != "full_attention"), "full_attention"]
    return distinct[:LAYERS] if len(distinct) >= LAYERS else kinds[:LAYERS]


def _rope(parameters: dict[str, Any], values: Mapping[Any, Any]) -> dict[str, Any]:
    """The same, with the halves of a head's channels divided among time, height and width."""
    if "rope_theta" not in parameters:
        return parameters
    partial = float(parameters.get("partial_rotary_factor", values.get("partial_rotary_factor") or 1.0))
    half = int(WIDTH // HEADS // 2 * partial)
    sections = [half // 4, 3 * half // 8, half - half // 4 - 3 * half // 8]
    return {**parameters, "mrope_section": sections}


def _merge(values: dict[Any, Any], others: Mapping[str, Any]) -> None:
    for key, value in others.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value
