"""A checkpoint that opens answers as the library does; one that does not is named, and the command line says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.cli.main import main
from heliograph.errors import HeliographError, ModelUnavailableError, ModelUnsupportedError
from heliograph.vlm.opening import open_model


@pytest.fixture
def copied(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "copy"))


def rewrite(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def smolvlm(folder: Path) -> Path:
    """The same weights under the name of the family that grew out of theirs."""
    config = json.loads((folder / "config.json").read_text())
    vision = config["vision_config"] | {"model_type": "smolvlm_vision"}
    rewrite(
        folder / "config.json",
        model_type="smolvlm",
        architectures=["SmolVLMForConditionalGeneration"],
        vision_config=vision,
    )
    stated = json.loads((folder / "processor_config.json").read_text())
    images = stated["image_processor"] | {"image_processor_type": "SmolVLMImageProcessor"}
    rewrite(folder / "processor_config.json", processor_class="SmolVLMProcessor", image_processor=images)
    return folder


@pytest.mark.parametrize("tiles", [False, True])
def test_smolvlm_opens_and_answers_as_the_library_generates(copied: Path, tiles: bool) -> None:
    folder = smolvlm(copied)
    if tiles:
        stated = json.loads((folder / "processor_config.json").read_text())["image_processor"]
        rewrite(
            folder / "processor_config.json",
            image_processor=stated | {"do_image_splitting": True, "size": {"longest_edge": 256}},
        )
    model = open_model(str(folder))
    noise = np.random.default_rng(1).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    photo = Image.fromarray(noise)
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]}]
    text = model.processor.apply_chat_template(messages, add_generation_prompt=True)
    made = model.processor(text=[text], images=[[photo]], return_tensors="pt")
    with torch.inference_mode():
        ids = model.torch_model.generate(**made, do_sample=False, max_new_tokens=5)[0, made["input_ids"].shape[1] :]
    for shown in (photo, model.encode_image(photo)):
        assert list(model.answer("what is it?", [shown], max_new_tokens=5).token_ids) == ids.tolist()


def refused(folder: Path, error: type[HeliographError], capsys: pytest.CaptureFixture[str]) -> str:
    """The note on the command line; on the wire there is the constant text alone."""
    with pytest.raises(error) as raised:
        open_model(str(folder))
    assert type(raised.value) is error
    assert raised.value.__notes__[0].startswith(repr(str(folder)))
    assert str(raised.value) == error.text
    capsys.readouterr()
    assert main(["serve", "--vlm", str(folder), "--port", "0"]) == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"heliograph: {error.name}: ")
    assert f"{str(folder)!r}: " in said
    return said


def test_a_first_prompt_that_fails_is_unsupported(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "chat_template.jinja").write_text("{{ raise_exception('\x1b[2J no photos') }}")
    said = refused(copied, ModelUnsupportedError, capsys)
    assert "its chat template refuses a photo: " in said
    assert "\x1b" not in said


def test_numbers_that_make_no_prompt_are_unsupported(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(copied / "processor_config.json", image_seq_len="many")
    said = refused(copied, ModelUnsupportedError, capsys)
    assert "its own code fails; HELIOGRAPH_DEBUG=1 shows where" in said


def test_an_image_processor_that_this_machine_cannot_run_is_named(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import is_torchvision_available

    if is_torchvision_available():
        pytest.skip("it can be run here")
    stated = json.loads((copied / "processor_config.json").read_text())
    images = stated["image_processor"] | {"image_processor_type": "Llama4ImageProcessor"}
    rewrite(copied / "processor_config.json", image_processor=images)
    assert "torchvision" in refused(copied, ModelUnavailableError, capsys).lower()


def test_an_unknown_architecture_says_its_kind(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(copied / "config.json", model_type="unheard-of", architectures=["X"])
    assert "unheard-of" in refused(copied, ModelUnavailableError, capsys)


def test_a_file_that_lies_elsewhere_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(copied / "tokenizer_config.json", vocab_file="elsewhere/vocab.json")
    assert "tokenizer_config.json" in refused(copied, ModelUnavailableError, capsys)


@pytest.mark.parametrize("text", ["[1]", '{"processor_class": ', "nothing"])
def test_a_configuration_that_is_none_is_named(text: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "processor_config.json").write_text(text)
    refused(copied, ModelUnavailableError, capsys)


@pytest.mark.parametrize("count", [63, 49, 36, 100])
def test_a_processor_that_writes_another_number_of_placeholders_is_unsupported(
    count: int, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tower makes 64 tokens of a photo."""
    rewrite(copied / "processor_config.json", image_seq_len=count)
    said = refused(copied, ModelUnsupportedError, capsys)
    assert f"tokens: {count}, features: 64" in said


@pytest.mark.parametrize("family", ["known", "beams"])
def test_several_answers_are_asked_for_and_one_is_made(
    family: str, copied: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beams = {"num_beams": 3} if family == "beams" else {}
    photo = Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    generation = copied / "generation_config.json"
    rewrite(generation, **beams)
    wanted = open_model(str(copied)).answer("what is it?", [photo], max_new_tokens=5)
    caplog.clear()
    rewrite(generation, num_return_sequences=3, do_sample=not beams)
    model = open_model(str(copied))
    for _ in range(2):
        assert model.answer("what is it?", [photo], max_new_tokens=5) == wanted
    assert [record.message for record in caplog.records if "num_return_sequences" in record.message] == [
        f"{str(copied)!r}: its generation_config.json asks for several answers (num_return_sequences); one is made"
    ]


def test_a_folder_that_is_no_checkpoint_is_named_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliograph.vlm.checkpoint.names import ModelName

    (tmp_path / "notes.txt").write_text("no model")
    monkeypatch.chdir(tmp_path)
    for name in (".", str(tmp_path), f"{tmp_path}#one-frame"):
        with pytest.raises(ModelUnavailableError) as caught:
            ModelName.parse(name).locate()
        assert "config.json" in caught.value.__notes__[0]
        assert repr(name.removesuffix("#one-frame")) in caught.value.__notes__[0]
        with pytest.raises(ModelUnavailableError):
            open_model(name)
