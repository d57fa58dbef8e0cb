"""A reference-architecture model with random weights made lively, so that answers depend on image and question."""

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.reference.recipe import build_reference_model
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
