"""Encoders of several families, exported with their own processors: the device's tokens are the model's."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import nn

from heliograph.edge.encoder import open_encoder
from heliograph.edge.preprocessing.frames import open_preprocessor
from heliograph.errors import ModelUnsupportedError, UsageError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.reference.recipe import build_reference_model
from heliograph.training.export import encoder_export
from heliograph.training.export.encoder_export import EncoderExport, export_frames
from heliograph.training.export.frame_sizes import default_frames
from heliograph.vlm.families.contract import families
from heliograph.vlm.families.shrink import tiny_config
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel

VOCABULARY = 4096
QUICK = ((84, 56), (56, 84))
SPECIAL = ("<image>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> VisionLanguageModel:
    return VisionLanguageModel.load(str(build_reference_model(tmp_path_factory.mktemp("known"), seed=5)))


@pytest.fixture(scope="module")
def tokenizer(known: VisionLanguageModel) -> Any:
    made = copy.deepcopy(known.processor.tokenizer)
    made.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    return made


def template(image: str) -> str:
    part = "{% if c['type'] == 'image' %}" + image + "{% else %}{{ c['text'] }}{% endif %}"
    return "{% for m in messages %}{% for c in m['content'] %}" + part + "{% endfor %}{% endfor %}"


def tiny_model(kind: str, ids: dict[str, int]) -> Any:
    values = tiny_config(kind).to_dict() | ids
    values["text_config"] |= {"vocab_size": VOCABULARY, "max_position_embeddings": VOCABULARY}
    torch.manual_seed(0)
    family = getattr(transformers, families()[kind])
    model = family._from_config(type(tiny_config(kind)).from_dict(values), attn_implementation="sdpa")
    model = model.eval().float().requires_grad_(False)
    for weight in model.parameters():
        if weight.dim() > 1:
            nn.init.normal_(weight, std=0.05)
    model.generation_config = transformers.GenerationConfig(eos_token_id=2, do_sample=False)
    return model


@pytest.fixture(scope="module")
def llava(tokenizer: Any) -> GeneralModel:
    """One fixed size."""
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    processor = transformers.LlavaProcessor(
        images,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=template("<image>"),
        num_additional_image_tokens=1,
    )
    ids = {"image_token_id": tokenizer.convert_tokens_to_ids("<image>")}
    return GeneralModel("llava", tiny_model("llava", ids), processor)


@pytest.fixture(scope="module")
def qwen(tokenizer: Any) -> GeneralModel:
    """Any size, in patches and windows; without its half for videos."""
    family = transformers.Qwen2_5_VLProcessor

    def check(self: Any, name: str, argument: Any) -> Any:
        return None if name == "video_processor" else family.check_argument_for_proper_class(self, name, argument)

    photos_only = type(family.__name__, (family,), {"check_argument_for_proper_class": check})
    images = transformers.Qwen2VLImageProcessorPil(size={"shortest_edge": 3136, "longest_edge": 20_000})
    shown = template("<|vision_start|><|image_pad|><|vision_end|>")
    processor = photos_only(image_processor=images, tokenizer=tokenizer, video_processor=None, chat_template=shown)
    names = {"image_token_id": SPECIAL[1], "video_token_id": SPECIAL[2]}
    names |= {"vision_start_token_id": SPECIAL[3], "vision_end_token_id": SPECIAL[4]}
    ids = {key: tokenizer.convert_tokens_to_ids(name) for key, name in names.items()}
    return GeneralModel("qwen", tiny_model("qwen2_5_vl", ids), processor)


@pytest.fixture(scope="module")
def tiles(known: VisionLanguageModel) -> GeneralModel:
    """Tiles and the whole."""
    processor = copy.deepcopy(known.processor)
    processor.image_processor.do_image_splitting = True
    processor.image_processor.size = {"longest_edge": 256}
    return GeneralModel("tiles", known.torch_model, processor)


def device(made: EncoderExport, folder: Path) -> Any:
    preprocessor = open_preprocessor(json.loads(json.dumps(made.preprocessing)))
    return open_encoder(folder.joinpath, preprocessor, made.grid, made.hidden_size)


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def test_a_family_of_one_size(llava: GeneralModel, tmp_path: Path) -> None:
    assert default_frames(llava) == ((56, 56),)
    made = export_frames(llava, tmp_path)
    assert [path.name for path in made.files] == ["encoder.onnx", "encoder.safetensors"]
    assert made.parity[0].pixel_error == 0
    assert made.parity[0].max_error < 1e-5
    seen = photo((200, 133))
    squashed = seen.resize((56, 56), llava.processor.image_processor.resample)
    found, expected = device(made, tmp_path)(seen), llava.encode_image(squashed)
    assert found.grid == expected.grid
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5 * np.abs(expected.values).max())


def test_frames_of_any_size_share_their_weights(qwen: GeneralModel, tmp_path: Path) -> None:
    made = export_frames(qwen, tmp_path, QUICK)
    assert [path.name for path in made.files] == ["encoder.onnx", "encoder-1.onnx", "encoder.safetensors"]
    assert [one.size for one in made.parity] == list(QUICK)
    assert all(one.pixel_error == 0 and one.max_error < 1e-5 and one.tokens == 6 for one in made.parity)
    encode = device(made, tmp_path)
    for size, frame in (((640, 480), QUICK[0]), ((480, 640), QUICK[1]), ((1, 1), QUICK[0]), ((1, 2000), QUICK[1])):
        seen = photo(size)
        expected = qwen.encode_image(seen.resize(frame, qwen.processor.image_processor.resample))
        found = encode(seen)
        assert (found.grid.photo_width, found.grid.photo_height) == frame
        assert found.grid == expected.grid
        np.testing.assert_allclose(found.values, expected.values, atol=1e-5 * np.abs(expected.values).max())
    assert made.grid == encode(photo(QUICK[0])).grid
    asked = "what is it?"
    tokens = encode(photo((300, 200)))
    framed = photo((300, 200)).resize(QUICK[0], qwen.processor.image_processor.resample)
    answer = qwen.answer(asked, [tokens], max_new_tokens=4)
    assert answer.token_ids == qwen.answer(asked, [framed], max_new_tokens=4).token_ids


def test_usual_frames_are_sizes_that_the_processor_keeps(qwen: GeneralModel) -> None:
    sizes = default_frames(qwen)
    assert len(sizes) == 3
    assert sizes[0] == sizes[1][::-1]
    assert sizes[2][0] == sizes[2][1]
    assert all(side % 28 == 0 for size in sizes for side in size)
    assert all(width * height <= 20_000 for width, height in sizes)


def test_tiles_and_the_whole(tiles: GeneralModel, tmp_path: Path) -> None:
    made = export_frames(tiles, tmp_path, [(256, 128)])
    assert made.parity[0].tokens == 3 * 64
    assert made.parity[0].pixel_error == 0
    assert made.preprocessing["frames"][0]["sources"] == [[256, 128, 0], [128, 128, 0]]


def test_the_known_family_keeps_its_one_frame(
    known: VisionLanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = known.input_size
    made = export_frames(known, tmp_path / "whole")
    assert made.preprocessing == json.loads(known.processor.image_processor.to_json_string())
    assert [path.name for path in made.files] == ["encoder.onnx"]
    assert made.parity[0].pixel_error == 0
    monkeypatch.setattr(encoder_export, "_OWN_FILE_BYTES", 1000)  # as if it were too large for one file
    large = export_frames(known, tmp_path / "large", [(side, side)])
    assert [path.name for path in large.files] == ["encoder.onnx", "encoder.safetensors"]
    with pytest.raises(UsageError):
        export_frames(known, tmp_path, [(side, 2 * side)])


def test_the_shipped_bundles_preprocessing_is_accepted() -> None:
    config = json.loads((Path(shipped_bundle_folder()) / "preprocessing.json").read_text(encoding="utf-8"))
    assert open_preprocessor(config).input_size == 128


@pytest.mark.parametrize("sizes", [[], [(0, 56)], [(56, 5000)], [(28 * i, 28) for i in range(1, 18)]])
def test_frames_out_of_range_are_refused(qwen: GeneralModel, tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    with pytest.raises(UsageError):
        export_frames(qwen, tmp_path, sizes)


def test_a_size_that_the_processor_changes_is_refused(qwen: GeneralModel, tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupportedError):
        export_frames(qwen, tmp_path, [(85, 56)])


def test_an_export_that_differs_is_refused(
    llava: GeneralModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parity = encoder_export._parity

    def worse(*given: Any) -> Any:
        return replace(parity(*given), max_error=float("nan"))

    monkeypatch.setattr(encoder_export, "_parity", worse)
    with pytest.raises(ModelUnsupportedError):
        export_frames(llava, tmp_path)
