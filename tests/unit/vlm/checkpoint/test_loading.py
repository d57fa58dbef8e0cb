"""What cannot be loaded is named, and nothing is answered with random weights."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from heliograph.errors import ModelUnavailableError
from heliograph.vlm.model import VisionLanguageModel


@pytest.fixture
def copy(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "copy")


def test_shape_of_the_loaded_model(vlm):
    assert (vlm.grid.tokens, vlm.hidden_size, vlm.input_size) == (64, 128, 128)
    assert vlm.torch_model.dtype == torch.float32
    assert not vlm.torch_model.training


def test_encoded_images_have_the_documented_shape(vlm, photos):
    many = vlm.encode_images(photos[:3])
    assert [one.values.shape for one in many] == [(64, 128)] * 3
    assert many[0].values.dtype == "float32"
    assert vlm.encode_images([]) == []


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ModelUnavailableError):
        VisionLanguageModel.load(str(tmp_path))


def test_a_truncated_weight_file_is_named(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelUnavailableError):
        VisionLanguageModel.load(str(copy))


def test_a_missing_weight_is_named(copy):
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.connector.modality_projection.proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailableError):
        VisionLanguageModel.load(str(copy))


def test_pickled_weights_are_not_opened(copy):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelUnavailableError):
        VisionLanguageModel.load(str(copy))


def test_an_unknown_architecture_is_named(copy):
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "unheard-of", "architectures": ["X"]}))
    with pytest.raises(ModelUnavailableError):
        VisionLanguageModel.load(str(copy))
