"""Processor folders of every image-text family that the library has, with numbers that no constructor has by itself."""

from __future__ import annotations

import inspect
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from heliograph.reference.recipe import build_tokenizer

VIDEO, IMAGES, TOKENIZER, SOUND = "video_processor", "image_processor", "tokenizer", "feature_extractor"

CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{{ 'IMAGE' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endfor %}"
)
_NAMED_TOKENS = (
    *("image_token", "video_token", "audio_token", "boi_token", "eoi_token", "boa_token", "eoa_token"),
    *("image_break_token", "image_end_token", "start_image_token", "end_image_token", "context_image_token"),
    *("image_start_token", "image_thumbnail_token", "video_start_token", "video_end_token", "vision_start_token"),
    *(
        "vision_end_token",
        "vision_bos_token",
        "vision_eos_token",
        "image_bos_token",
        "image_eos_token",
        "im_start_token",
    ),
    *("image_id_start_token", "image_id_end_token", "slice_start_token", "slice_end_token", "im_end_token"),
    *("audio_bos_token", "audio_eos_token", "image_wrapper_token", "start_token", "end_token", "tile_token"),
)
_SKIPPED = ("audio_tokenizer", "policy_definitions", "size_conversion", "post_processor_config")
"""Objects of their own, of families without videos."""
_IMAGE_WORDS = {"cohere_compass": "<|IMAGE_PAD|>"}
_WORDS = ("<image>", "<video>", "<audio>", "<|image_pad|>", "<|video_pad|>", "<|image|>", "<|IMAGE_PAD|>", "<other>")


def families() -> list[str]:
    """Kinds of models whose processor class is known and has an image processor."""
    kinds = sorted(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
    return [kind for kind in kinds if IMAGES in attributes(kind)]


def families_with_videos() -> list[str]:
    """Those whose processor has a half for videos beside the one for photos."""
    return [kind for kind in families() if VIDEO in attributes(kind)]


def processor_class(kind: str) -> Any:
    name = PROCESSOR_MAPPING_NAMES.get(kind)
    return getattr(transformers, name) if name else None


@lru_cache(maxsize=256)
def attributes(kind: str) -> tuple[str, ...]:
    """Parts of a family's processor; none where it needs a library that is not installed."""
    family = processor_class(kind)
    if family is None or getattr(family, "is_dummy", False):
        return ()
    return tuple(family.get_attributes())


def image_class(kind: str) -> Any:
    """The PIL variant of a family's image processor; None where there is none."""
    module = processor_class(kind).__module__.split(".")[2]
    names = IMAGE_PROCESSOR_MAPPING_NAMES.get(kind) or IMAGE_PROCESSOR_MAPPING_NAMES.get(module) or {}
    return getattr(transformers, names["pil"]) if names.get("pil") else None


def own_numbers(kind: str) -> dict[str, Any]:
    """A value for every argument of the constructor that is no part, each other than the default."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(processor_class(kind).__init__).parameters.items():
        if name in ("self", "chat_template", "args", "kwargs") or name in attributes(kind):
            continue
        if parameter.kind is parameter.VAR_KEYWORD or name in _SKIPPED:
            continue
        found[name] = _other(name, parameter.default)
    return found


def _other(name: str, default: Any) -> Any:
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return default + 7 if name != "patch_size" else 7
    if name == "vision_feature_select_strategy":
        return "full"
    if name == "vision_aspect_ratio":
        return "anyres_max_4"
    if name == "patch_size":
        return 7
    if isinstance(default, str):
        return "<other>"
    return 729


def tokenizer() -> Any:
    """The reference model's, with every token that a family's processor looks for."""
    made = build_tokenizer()
    made.add_special_tokens({"additional_special_tokens": list(_WORDS)})
    return made


def _write_tokenizer(folder: Path, kind: str) -> None:
    tokenizer().save_pretrained(folder)
    words = dict.fromkeys(_NAMED_TOKENS, "<other>")
    words |= {"image_token": _IMAGE_WORDS.get(kind, "<image>"), "video_token": "<video>", "audio_token": "<audio>"}
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"extra_special_tokens": words}))


def write_folder(folder: Path, kind: str) -> Path:
    """A checkpoint's processor files without weights, as the library itself writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    family = processor_class(kind)
    _write_tokenizer(folder, kind)
    for part in attributes(kind):
        if part.endswith(TOKENIZER) and part != TOKENIZER:
            _write_tokenizer(folder / part, kind)
    values: dict[str, Any] = {"processor_class": family.__name__, **own_numbers(kind)}
    values[IMAGES] = image_class(kind)().to_dict()
    if SOUND in attributes(kind):
        values[SOUND] = _sound_class(kind)().to_dict()
    values[VIDEO] = {"video_processor_type": _video_type(kind), "num_frames": 5, "fps": 3, "merge_size": 2}
    (folder / "processor_config.json").write_text(json.dumps(values, default=np.ndarray.tolist))
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    (folder / "chat_template.jinja").write_text(CHAT)
    return folder


def _sound_class(kind: str) -> Any:
    from transformers.models.auto.feature_extraction_auto import FEATURE_EXTRACTOR_MAPPING_NAMES

    module = processor_class(kind).__module__.split(".")[2]
    name = FEATURE_EXTRACTOR_MAPPING_NAMES.get(kind) or FEATURE_EXTRACTOR_MAPPING_NAMES.get(module)
    return getattr(transformers, name or "Gemma4AudioFeatureExtractor")


def _video_type(kind: str) -> str | None:
    from transformers.models.auto.auto_mappings import VIDEO_PROCESSOR_MAPPING_NAMES

    module = processor_class(kind).__module__.split(".")[2]
    found = VIDEO_PROCESSOR_MAPPING_NAMES.get(kind) or VIDEO_PROCESSOR_MAPPING_NAMES.get(module)
    return next(iter(found.values())) if isinstance(found, dict) else found
