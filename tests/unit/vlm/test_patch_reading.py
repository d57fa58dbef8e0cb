"""Towers entered behind their first layer: embedded patches give the tokens that pixels give, or a named refusal."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from coefficient_pictures import embedded_pixels
from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.reference.recipe import build_tokenizer
from heliograph.registry import STRATEGIES
from heliograph.serving.cloud import Cloud
from heliograph.strategies.compressed_domain.coefficients import quantised
from heliograph.types import EncodedImage, Grid, VisualTokens
from heliograph.vlm.contract import TorchModel
from heliograph.vlm.efficientnet_lite import Tower, TowerConfig
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model
from heliograph.vlm.patch_reading import first_layer

_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %} {{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def llava(tower: str, side: int, patch: int, dtype: torch.dtype = torch.float32) -> GeneralModel:
    """LLaVA with a tower of a few weights of chance, and the tower's own processor."""
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    square = {"height": side, "width": side}
    if tower == "clip":
        vision = transformers.CLIPVisionConfig(**sizes, image_size=side, patch_size=patch)
        images = transformers.CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size=square)
    else:
        vision = transformers.SiglipVisionConfig(**sizes, image_size=side, patch_size=patch)
        images = transformers.SiglipImageProcessorPil(size=square)
    select = "default" if tower == "clip" else "full"
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=transformers.LlamaConfig(
            **sizes, vocab_size=len(tokenizer), num_key_value_heads=2, max_position_embeddings=512
        ),
        vision_feature_select_strategy=select,
        vision_feature_layer=-2,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.LlavaProcessor(
        images,
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy=select,
        num_additional_image_tokens=int(tower == "clip"),
    )
    processor.chat_template = tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(0)
    model = transformers.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.2)
    return GeneralModel(f"llava {tower}", model.to(dtype), processor)


def tiled(vlm: VisionLanguageModel) -> GeneralModel:
    processor = copy.deepcopy(vlm.processor)
    processor.image_processor.do_image_splitting = True
    processor.image_processor.size = {"longest_edge": 256}
    return GeneralModel("tiles", vlm.torch_model, processor)


CASES: dict[str, tuple[Any, tuple[int, int], tuple[int, int]]] = {
    # how it is made, size of photos, patches of a tile
    "reference": (lambda vlm: vlm, (128, 128), (8, 8)),
    "reference, general": (lambda vlm: GeneralModel("known", vlm.torch_model, vlm.processor), (128, 128), (8, 8)),
    "reference, in tiles": (tiled, (256, 128), (8, 8)),
    "llava with clip, 14": (lambda vlm: llava("clip", 56, 14), (56, 56), (4, 4)),
    "llava with siglip, 14 and a rest": (lambda vlm: llava("siglip", 60, 14), (60, 60), (4, 4)),
    "llava with siglip, 16, half": (lambda vlm: llava("siglip", 64, 16, torch.bfloat16), (64, 64), (4, 4)),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, vlm: VisionLanguageModel) -> tuple[TorchModel, tuple[int, int], Any]:
    make, size, patches = CASES[request.param]
    return make(vlm), size, patches


def relative(found: VisualTokens, expected: VisualTokens) -> float:
    assert found.grid == expected.grid
    return float(np.linalg.norm(found.values - expected.values) / np.linalg.norm(expected.values))


def pictures_of(reader: Any, photo: Image.Image) -> list[Image.Image]:
    return [photo if size == photo.size else photo.resize(size, Image.Resampling.LANCZOS) for size in reader.pictures]


def test_embedded_pixels_give_the_tokens_of_pixels(case: tuple[TorchModel, tuple[int, int], Any]) -> None:
    model, size, patches = case
    reader = model.patch_reader(size)
    assert reader is model.patch_reader(size)
    assert (reader.pictures[0], reader.patches) == (size, patches)
    photo = picture(size, seed=4)
    shown = [np.asarray(one, np.float64) for one in pictures_of(reader, photo)]
    found = reader.tokens(embedded_pixels(reader, shown).astype(np.float32))
    half = model.torch_model.dtype == torch.bfloat16
    assert relative(found, model.encode_image(photo)) < (0.03 if half else 1e-4)
    assert relative(found, model.encode_image(picture(size, seed=5))) > 0.1


@dataclass
class _Device:
    """A device that makes the pictures of one model."""

    reader: Any

    def pictures(self, photo: Image.Image) -> tuple[Image.Image, ...]:
        return tuple(pictures_of(self.reader, photo))


def test_a_stream_of_coefficients_gives_nearly_the_tokens_of_its_photo(
    case: tuple[TorchModel, tuple[int, int], Any],
) -> None:
    model, size, _ = case
    photo = picture(size, seed=6)
    tools: Any = _Device(model.patch_reader(size))
    errors = []
    for quality, chroma in ((92, 1), (10, 2)):
        stream = STRATEGIES.load("jpeg-dct")().encode(photo, tools, {"quality": quality, "chroma": chroma})
        errors.append(relative(Cloud(model).restore(stream), model.encode_image(photo)))
    assert errors[0] < 0.15
    assert errors[0] < errors[1]


def test_tiles_are_parts_of_the_photo_and_the_last_one_is_the_whole(vlm: VisionLanguageModel) -> None:
    reader = tiled(vlm).patch_reader((256, 128))
    assert reader.pictures == ((256, 128), (128, 128))
    assert reader.tiles == ((0, 0, 0), (0, 128, 0), (1, 0, 0))


def test_sizes_that_the_processor_changes_are_refused(vlm: VisionLanguageModel) -> None:
    with pytest.raises(ShapeError):
        vlm.patch_reader((128, 64))
    for model, size in ((tiled(vlm), (200, 100)), (llava("clip", 56, 14), (112, 56))):
        with pytest.raises(ModelUnsupportedError) as caught:
            model.patch_reader(size)
        assert "changes pixels" in str(caught.value.__notes__)
        with pytest.raises(ShapeError):
            model.patch_reader((1 << 15, 1 << 15))


def test_a_shape_of_embedded_patches_that_does_not_fit_is_refused(vlm: VisionLanguageModel) -> None:
    reader = vlm.patch_reader((128, 128))
    width = len(reader.bias)
    for shape in ((1, 8, 7, width), (2, 8, 8, width), (1, 8, 8, width + 1)):
        with pytest.raises(ShapeError):
            reader.tokens(np.zeros(shape, np.float32))


def test_the_layer_is_as_before(vlm: VisionLanguageModel) -> None:
    reader = vlm.patch_reader((128, 128))
    before = set(vars(reader.layer))
    photo = picture((128, 128))
    expected = vlm.encode_image(photo)
    reader.tokens(np.zeros((1, 8, 8, len(reader.bias)), np.float32))
    assert set(vars(reader.layer)) == before
    np.testing.assert_array_equal(vlm.encode_image(photo).values, expected.values)


def test_towers_that_do_not_begin_with_separate_patches_are_refused_by_name(tiny_qwen3_vl: Path) -> None:
    """Patches in three dimensions; a convolution whose places overlap; two towers; none."""
    overlapping = torch.nn.Sequential(torch.nn.Conv2d(3, 8, kernel_size=3, stride=2))
    two = torch.nn.ModuleList([torch.nn.Conv2d(3, 8, 4, 4), torch.nn.Conv2d(3, 8, 8, 8)])
    padded = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, 4, padding=1))
    for tower in (Tower(TowerConfig()), overlapping, two, padded, torch.nn.Linear(3, 3)):
        with pytest.raises(ModelUnsupportedError) as caught:
            first_layer(tower)
        assert "separate square patches" in str(caught.value.__notes__)
    with pytest.raises(ModelUnsupportedError):
        open_model(str(tiny_qwen3_vl)).patch_reader((256, 256))


class _Plain:
    """A model of another package, from before there were patch readers."""

    name, hidden_size, grid = "plain", 4, Grid(2, 2)


def test_a_model_without_an_entrance_is_refused_by_name() -> None:
    model: Any = _Plain()
    stream = EncodedImage("jpeg-dct", bytes([75, 0, 31, 31]), ())
    with pytest.raises(ModelUnsupportedError):
        Cloud(model).restore(stream)


def test_photos_of_sizes_that_no_device_of_the_bundle_sends_are_refused(vlm: VisionLanguageModel) -> None:
    grids = [Grid(8, 8, 3, 256, 128)]
    cloud = Cloud(tiled(vlm), grids=grids)
    photo = picture((256, 256))
    tools: Any = _Device(tiled(vlm).patch_reader((256, 256)))
    with pytest.raises(ShapeError):
        cloud.restore(STRATEGIES.load("jpeg-dct")().encode(photo, tools, {}))


def test_quantised_pictures_are_whole_numbers() -> None:
    assert all(one.dtype == np.int32 for one in quantised(picture((16, 16)), 50, True).levels)
