"""A weight that is infinite or no number: no answer, draft, map or token leaves the model, nothing is sure of it."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.controllers.region.find import Found
from heliograph.errors import AnsweringFailedError, StreamDamagedError
from heliograph.question import Question
from heliograph.serving.cloud import Cloud
from heliograph.serving.jobs import AnswerJob, Purpose
from heliograph.types import Answer, EncodedImage, VisualTokens
from heliograph.vlm.attention import AttentionFinder, layer_maps
from heliograph.vlm.decoding import Step, finite, to_answer
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model

QUESTION, LIMIT = "what is it?", 4
BAD = (math.inf, -math.inf, math.nan)
OF_LANGUAGE = (
    ("text_model.layers.1.mlp.down_proj", "language_model.layers.1.mlp.down_proj"),
    ("text_model.layers.0.self_attn.k_proj", "language_model.layers.0.self_attn.k_proj"),
    ("text_model.norm", "language_model.norm"),
    ("lm_head", "embed_tokens"),
)
OF_VISION = ("vision_model.encoder.layers.0.mlp.fc2", "connector", "visual.merger", "visual.blocks.0.mlp.linear_fc2")


@contextmanager
def spoilt(model: Any, names: tuple[str, ...], value: float, whole_row: bool = False) -> Iterator[None]:
    """Within the context one number, or one row, of the first weight of such a name is this one; names in order."""
    weights = [(name, weight) for name, weight in model.torch_model.named_parameters() if name.endswith("weight")]
    weight = next(weight.data for part in names for name, weight in weights if part in name)
    kept = weight.clone()
    try:
        if whole_row and weight.dim() > 1:
            weight[7] = value
        else:
            weight.view(-1)[3] = value
        yield
    finally:
        weight.copy_(kept)


@pytest.fixture(scope="module")
def qwen(tiny_qwen3_vl: Path) -> GeneralModel:
    model = open_model(str(tiny_qwen3_vl))
    assert isinstance(model, GeneralModel)
    return model


@pytest.fixture(params=["quick", "general"])
def model(request: pytest.FixtureRequest, vlm: VisionLanguageModel, qwen: GeneralModel) -> Any:
    return vlm if request.param == "quick" else qwen


def ways(model: Any, photo: Image.Image, tokens: VisualTokens, draft: Answer) -> dict[str, Callable[[], Any]]:
    """Every way by which something that the language model made leaves it."""
    made: dict[str, Callable[[], Any]] = {
        "answer": lambda: model.answer(QUESTION, [tokens], max_new_tokens=LIMIT),
        "answer from pixels": lambda: model.answer(QUESTION, [photo], max_new_tokens=LIMIT),
        "draft": lambda: model.verify_draft(QUESTION, [tokens], draft, max_new_tokens=LIMIT),
        "map": lambda: layer_maps(model, QUESTION, tokens, layers=(1,)),
    }
    if isinstance(model, VisionLanguageModel):
        made["batch"] = lambda: model.answer_many([(QUESTION, [tokens]), ("7?", [tokens])], max_new_tokens=LIMIT)
        made["stream"] = lambda: list(model.stream(QUESTION, [tokens], max_new_tokens=LIMIT))
    else:
        values = torch.from_numpy(tokens.values)
        made["logits"] = lambda: model.answer_logits(QUESTION, values, tokens.grid, [5, 6])
    return made


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("place", OF_LANGUAGE)
def test_a_bad_weight_of_the_language_model_is_an_error_on_every_way(
    place: tuple[str, ...], value: float, model: Any, photos: list[Image.Image]
) -> None:
    tokens = model.encode_image(photos[0])
    draft = model.answer(QUESTION, [tokens], max_new_tokens=LIMIT)
    with spoilt(model, place, value):
        for way in ways(model, photos[0], tokens, draft).values():
            with pytest.raises(AnsweringFailedError):
                way()
    assert model.answer(QUESTION, [tokens], max_new_tokens=LIMIT) == draft


@pytest.mark.parametrize("value", BAD)
def test_one_row_of_the_vocabulary_is_enough(value: float, model: Any, photos: list[Image.Image]) -> None:
    tokens = model.encode_image(photos[0])
    draft = model.answer(QUESTION, [tokens], max_new_tokens=LIMIT)
    with spoilt(model, ("lm_head", "embed_tokens"), value, whole_row=True):
        for way in ways(model, photos[0], tokens, draft).values():
            with pytest.raises(AnsweringFailedError):
                way()


@pytest.mark.parametrize("value", BAD)
def test_a_bad_weight_of_the_vision_tower_makes_no_tokens(value: float, model: Any, photos: list[Image.Image]) -> None:
    names = [name for name, _ in model.torch_model.named_parameters()]
    places = [place for place in OF_VISION if any(place in name for name in names)]
    assert places
    for place in places:
        with spoilt(model, (place,), value):
            with pytest.raises(AnsweringFailedError):
                model.encode_image(photos[0])
            with pytest.raises(AnsweringFailedError):
                model.answer(QUESTION, [photos[0]], max_new_tokens=LIMIT)


ABSURD = (3e38, -1e20, 2.0**20)
"""Numbers, whose products or squares may not be any."""


def checkpoint_with(source: Path, folder: Path, part: str, value: float) -> str:
    """A copy of a checkpoint in which one number of the first weight of such a name is this one."""
    shutil.copytree(source, folder)
    path = folder / "model.safetensors"
    weights = {name: weight.clone() for name, weight in load_file(path).items()}
    name = next(name for name in sorted(weights) if part in name and name.endswith("weight"))
    weights[name].view(-1)[3] = value
    save_file(weights, path, metadata={"format": "pt"})
    return str(folder)


@dataclass(frozen=True)
class Sound:
    """A checkpoint before anything is changed, and what its model makes."""

    folder: Path
    tokens: VisualTokens
    draft: Answer


@pytest.fixture(scope="module")
def sound(model_folder: Path, tiny_qwen3_vl: Path, photos: list[Image.Image]) -> dict[str, Sound]:
    found = {}
    for family, folder in (("reference", model_folder), ("qwen", tiny_qwen3_vl)):
        model = open_model(str(folder))
        tokens = model.encode_image(photos[0])
        found[family] = Sound(folder, tokens, model.answer(QUESTION, [tokens], max_new_tokens=LIMIT))
    return found


@pytest.mark.parametrize("family", ["reference", "qwen"])
def test_usual_weights_in_the_file_are_not_spoken_of(
    family: str, sound: dict[str, Sound], caplog: pytest.LogCaptureFixture
) -> None:
    open_model(str(sound[family].folder))
    assert not caplog.records


@pytest.mark.parametrize(
    ("family", "part", "value"),
    [
        *(("reference", "text_model.layers.0.input_layernorm", value) for value in ABSURD),
        *(("qwen", "visual.blocks.0.norm1", value) for value in ABSURD),
        ("reference", "vision_model.encoder.layers.0.mlp.fc2", ABSURD[0]),
        ("reference", "connector", ABSURD[1]),
        ("reference", "text_model.norm", ABSURD[2]),
        ("qwen", "language_model.norm", ABSURD[2]),
    ],
)
def test_an_absurd_weight_in_the_file_is_an_error_on_every_way(
    family: str,
    part: str,
    value: float,
    sound: dict[str, Sound],
    photos: list[Image.Image],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens, draft = sound[family].tokens, sound[family].draft
    model = open_model(checkpoint_with(sound[family].folder, tmp_path / "model", part, value))
    assert part in caplog.text
    for way in (*ways(model, photos[0], tokens, draft).values(), lambda: model.encode_image(photos[0])):
        with pytest.raises(AnsweringFailedError):
            way()


@pytest.mark.parametrize("value", [2.0**30, -3e38])
def test_tokens_that_no_norm_bears_are_refused(value: float, model: Any, photos: list[Image.Image]) -> None:
    tokens = model.encode_image(photos[0])
    values = tokens.values.copy()
    values[1, 2] = value
    with pytest.raises(StreamDamagedError):
        model.answer(QUESTION, [VisualTokens(values, tokens.grid)], max_new_tokens=LIMIT)


@pytest.mark.parametrize("value", [2.0**16, 3e38, math.inf, -math.inf, math.nan])
def test_logits_that_tell_no_probability(value: float) -> None:
    logits = torch.full((2, 5), torch.finfo(torch.float32).min)  # how some families forbid a token
    logits[:, 1] = 20.0
    assert finite(logits) is logits
    logits[1, 3] = value
    with pytest.raises(AnsweringFailedError):
        finite(logits)


class NoNumbers:
    """A codec whose restored tokens are no numbers."""

    def __init__(self, codec: KltCodec) -> None:
        self.codec = codec

    def stated_grid(self, header: bytes) -> Any:
        return self.codec.stated_grid(header)

    def decode(self, header: bytes, segments: Any) -> VisualTokens:
        tokens = self.codec.decode(header, segments)
        return VisualTokens(np.full_like(tokens.values, np.nan), tokens.grid)


def job(encoded: EncodedImage, purpose: Purpose = Purpose.FINAL, draft: Answer | None = None) -> AnswerJob:
    return AnswerJob(0, 0, Question(QUESTION, region="always", max_answer_tokens=LIMIT), encoded, None, draft, purpose)


def test_the_cloud_says_so_for_every_job(vlm: VisionLanguageModel, photos: list[Image.Image]) -> None:
    codec = fit_klt(vlm.encode_images(photos * 2), modes=("dct",), restore=False)
    setting: Any = copy.copy(_setting())
    cloud = Cloud(vlm, {"klt": codec}, finder=AttentionFinder(vlm, setting))
    encoded = codec.encode(vlm.encode_image(photos[0]))
    draft = cloud.run(job(encoded)).answer
    assert draft is not None
    jobs = [job(encoded), job(encoded, Purpose.DRAFT, draft), job(encoded, Purpose.LOOK, draft)]
    assert [cloud.run(one).error for one in jobs] == [None] * 3
    with spoilt(vlm, OF_LANGUAGE[0], math.inf):
        assert {type(cloud.run(one).error) for one in jobs} == {AnsweringFailedError}
    broken = Cloud(vlm, {"klt": NoNumbers(codec)})  # type: ignore[dict-item]
    assert isinstance(broken.run(job(encoded)).error, AnsweringFailedError)


def _setting() -> Any:
    from heliograph.controllers.region.find import RegionSetting

    return RegionSetting(layer=1, generic_question="Describe the picture.")


def test_a_look_finds_something_where_all_is_well(vlm: VisionLanguageModel, photos: list[Image.Image]) -> None:
    found = AttentionFinder(vlm, _setting()).find(QUESTION, vlm.encode_image(photos[0]), (200, 150))
    assert isinstance(found, Found)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("field", ["bits", "entropy_bits", "margin"])
def test_no_confidence_is_made_of_what_is_no_number(value: float, field: str) -> None:
    numbers = {"bits": 1.0, "entropy_bits": 1.0, "margin": 0.5} | {field: value}
    with pytest.raises(AnsweringFailedError):
        to_answer([Step(4, **numbers)], frozenset(), "x")
    with pytest.raises(AnsweringFailedError):
        to_answer([], frozenset(), "x")


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_answer_that_says_nothing_is_never_sure(text: str) -> None:
    certain = Step(2, 0.0, 0.0, 1.0)
    for end_ids in (frozenset({2}), frozenset[int]()):
        answer = to_answer([certain], end_ids, text)
        assert answer.confidence == 0.01
        assert answer.min_entropy_bits == 0
    assert to_answer([certain], frozenset(), "yes").confidence == 1
