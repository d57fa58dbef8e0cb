"""A reference-architecture model with random weights made lively, so that answers depend on image and question."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import GenerationConfig

from heliograph.reference.recipe import build_reference_model, build_tokenizer
from heliograph.vlm.families.shrink import tiny_config
from heliograph.vlm.model import VisionLanguageModel


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    return build_reference_model(tmp_path_factory.mktemp("model"), seed=3)


@pytest.fixture(scope="session")
def vlm(model_folder):
    """Fresh weights are near zero and say one token for ever; larger ones differ by image, question and position."""
    loaded = VisionLanguageModel.load(str(model_folder))
    with torch.no_grad():
        for name, weight in loaded.torch_model.named_parameters():
            if weight.ndim == 2 and "embed" not in name and "lm_head" not in name:
                weight.mul_(8.0 if "text_model" in name else 3.0)
    # Ordinary tokens that end an answer too, so that answers of several lengths occur.
    ends = [loaded.torch_model.generation_config.eos_token_id, *range(40, 640, 17)]
    loaded.torch_model.generation_config.eos_token_id = ends
    loaded.decoder.end_ids = frozenset(ends)
    return loaded


def make_photo(seed, size=(200, 150)):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def photos():
    return [make_photo(seed) for seed in range(6)]


@pytest.fixture(scope="session")
def tokens(vlm, photos):
    return [vlm.encode_image(photo) for photo in photos]


QUESTIONS = (
    "Is there a red circle?",
    "What colour is the star?",
    "How many objects are there?",
    "What does the sign say?",
    "where is it",
    "Describe the picture in many words, please, and say all there is to say.",
    "7?",
)


@pytest.fixture(scope="session")
def questions():
    return QUESTIONS


# ---- families that are not the reference: few and random weights, real processors and templates --------------
_SIDE, _PATCH, _STRIDES = 256, 16, 4  # of the OCR families, whose projector halves each side twice
OCR_TOKENS = (_SIDE // _PATCH // _STRIDES) ** 2
_TEMPLATE = (
    "{% for message in messages %}User:{% for part in message['content'] %}{% if part['type'] == 'image' %}PLACE"
    "{% else %} {{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}{% if add_generation_prompt %}Assistant:"
    "{% endif %}"
)


def _write_family(folder, kind, *, template_start=""):
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
    shown = place * OCR_TOKENS if kind == "pp_chart2table" else place  # this one leaves that to the template
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


def _processor(kind, side, patch, tokenizer):
    square = {"height": side, "width": side}
    if kind == "llava":
        images = transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square)
        return transformers.LlavaProcessor(
            images, tokenizer, patch_size=patch, vision_feature_select_strategy="default", num_additional_image_tokens=1
        )
    if kind == "got_ocr2":
        return transformers.GotOcr2Processor(transformers.GotOcr2ImageProcessorPil(size=square), tokenizer)
    return transformers.PPChart2TableProcessor(transformers.PPChart2TableImageProcessorPil(size=square), tokenizer)


@pytest.fixture
def write_family(monkeypatch):
    """Writes a checkpoint folder of another family; ``ocr_tokens`` is how many tokens a photo has in two of them."""
    monkeypatch.setattr(transformers.GotOcr2Processor, "num_image_tokens", OCR_TOKENS)
    return SimpleNamespace(folder=_write_family, ocr_tokens=OCR_TOKENS)
