"""A model of another family from photos to answers: fit, export, serve, ask over a real websocket.

Real processor files, real photos, random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.bench.data import data_folder
from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.errors import DataMissingError
from heliograph.serving.application import CloudApplication
from heliograph.serving.runner import BackgroundServer, load_cloud
from heliograph.types import Grid
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.opening import open_model
from heliograph.vlm.processors import load_processor

SIZE = (384, 288)
PHOTOS = 10
QUESTION = "what is on the sign?"
Say = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny Qwen3-VL with deepstack behind its real tokenizer and processor, and real photos."""
    try:
        parts, photos = data_folder("qwen3-vl-processor"), data_folder("textvqa-dev")
    except DataMissingError:
        pytest.skip("processor or photos are not at hand")
    from transformers import GenerationConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    folder, chosen = tmp_path_factory.mktemp("qwen"), tmp_path_factory.mktemp("photos")
    for path in parts.iterdir():
        shutil.copyfile(path, folder / path.name)
    for path in sorted((photos / "photos").iterdir())[:PHOTOS]:
        shutil.copyfile(path, chosen / path.name)
    tokenizer = load_processor(str(folder)).tokenizer
    values: dict[str, Any] = Qwen3VLConfig().to_dict()
    width = {"hidden_size": 32, "intermediate_size": 64}
    rope = {"rope_theta": 1e4, "rope_type": "default", "mrope_section": [4, 2, 2]}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
    values["text_config"] |= {**width, **heads, "num_hidden_layers": 2, "rope_parameters": rope}
    values["vision_config"] |= {
        **width,
        "depth": 2,
        "num_heads": 2,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0, 1],
    }
    values["text_config"]["vocab_size"] = len(tokenizer)
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    values |= {key: tokenizer.convert_tokens_to_ids(name) for key, name in names.items()}
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig.from_dict(values)).float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.2)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, do_sample=False)
    model.save_pretrained(folder)
    return folder, chosen


@pytest.fixture(scope="module")
def made(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Codec and bundles in float32 and int8, all by commands."""
    model, photos = folders
    out = tmp_path_factory.mktemp("made")
    size = "x".join(map(str, SIZE))
    codec = ["--photos", photos, "--size", size, "--out", out / "codec"]
    assert main([*map(str, ["fit", "--vlm", model, *codec])]) == 0
    for name, more in (("float32", []), ("int8", ["--int8"])):
        export = ["export", "--vlm", model, "--codec", out / "codec", "--photos", photos, "--size", size, *more]
        assert main([*map(str, [*export, "--out", out / name])]) == 0
    return out / "codec", out / "float32", out / "int8"


@pytest.fixture(scope="module")
def url(folders: tuple[Path, Path], made: tuple[Path, Path, Path]) -> Iterator[str]:
    """A cloud that has the codec folder and no bundle."""
    with BackgroundServer(CloudApplication(load_cloud(str(folders[0]), made[0]))) as server:
        yield server.url


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*argv: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*map(str, argv), "--json"]) == 0
        parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return parsed

    return run


def test_the_device_makes_the_models_tokens(folders: tuple[Path, Path], made: tuple[Path, Path, Path]) -> None:
    model = open_model(str(folders[0]))
    assert isinstance(model, GeneralModel)
    devices = [Device(Bundle.load(folder)) for folder in made[1:]]
    for path in sorted(folders[1].iterdir())[:3]:
        photo = Image.open(path).convert("RGB")
        own = model.encode_image(photo.resize(SIZE, Image.Resampling.BICUBIC))
        exact, eight = (device.encode_tokens(photo) for device in devices)
        assert exact.grid == own.grid == Grid(9, 12, 1, *SIZE)
        assert np.abs(exact.values - own.values).max() < 1e-4 * np.abs(own.values).max()
        assert 0 < np.abs(eight.values - own.values).mean() < 0.1 * np.abs(own.values).mean()


def test_answers_over_the_wire(
    folders: tuple[Path, Path], made: tuple[Path, Path, Path], url: str, say: Say, tmp_path: Path
) -> None:
    photo = min(folders[1].iterdir())
    model = open_model(str(folders[0]))
    for folder in made[1:]:  # one cloud serves both
        device = Device(Bundle.load(folder))
        tokens = device.encode_tokens(Image.open(photo).convert("RGB"))
        codec = device.codec("klt")
        whole = codec.encode(tokens)
        restored = codec.decode(whole.header, whole.segments)
        for budget in (0, 96):
            limit = ["--budget", str(budget)] if budget else ["--setting", "max_bytes=0"]
            found = say("ask", photo, QUESTION, "--server", url, "--bundle", folder, *limit)
            assert found["strategy"] == "klt"
            if budget:
                assert found["payload_bytes"] <= budget
        stream = tmp_path / f"{folder.name}.hgs"
        say("encode", photo, "-o", stream, "--bundle", folder)
        answer = say("answer", stream, QUESTION, "--vlm", folders[0], "--bundle", made[0])["answer"]
        assert answer == model.answer(QUESTION, [restored]).text


def test_pictures_are_answered_too(folders: tuple[Path, Path], url: str, say: Say) -> None:
    found = say("ask", min(folders[1].iterdir()), QUESTION, "--server", url, "--strategy", "webp")
    assert found["strategy"] == "webp"
