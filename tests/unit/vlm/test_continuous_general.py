"""Which general families answer side by side, that they say what they say alone, and what the others say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.errors import QuestionEmptyError, ShapeError
from heliograph.types import VisualTokens
from heliograph.vlm.contract import BatchRequest, EndedRequest
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.model import VisionLanguageModel
from heliograph.vlm.opening import open_model


def finished(batch: Any, requests: Sequence[BatchRequest]) -> dict[BatchRequest, EndedRequest]:
    waiting, ended = list(requests), {}
    while waiting or len(batch):
        if waiting and batch.fits(waiting[0]):
            batch.admit(waiting.pop(0))
        ended |= {one.request: one for one in batch.step()}
    return ended


@pytest.fixture(params=["known family", "llava", "got_ocr2"])
def model(request: pytest.FixtureRequest, vlm: VisionLanguageModel, tmp_path: Path, write_family: Any) -> GeneralModel:
    if request.param == "known family":
        return GeneralModel("known", vlm.torch_model, vlm.processor)
    made = open_model(str(write_family.folder(tmp_path, request.param)))
    assert isinstance(made, GeneralModel)
    return made


def test_answers_side_by_side_are_those_of_generate(
    model: GeneralModel, photos: list[Image.Image], questions: Sequence[str]
) -> None:
    batch = model.open_batch(3000, prefill_tokens=200)
    assert batch is not None, model.one_at_a_time
    tokens = [model.encode_image(photo) for photo in photos[:2]]
    shown: list[list[Any]] = [[tokens[0]], [photos[2]], [tokens[1]], [] if model.name == "known" else [photos[3]]]
    asked = [BatchRequest(question, images, None, 7) for question in questions[:4] for images in shown]
    wanted = [model.answer(one.question, one.images, max_new_tokens=7) for one in asked]
    assert len({answer.token_ids for answer in wanted}) > len(wanted) // 3
    drafts = [None, wanted[0], wanted[5], replace(wanted[2], token_ids=(*wanted[2].token_ids[:2], 10**6))]
    asked = [replace(one, draft=drafts[i % 4]) for i, one in enumerate(asked)]
    broken = BatchRequest("7?", [VisualTokens(np.zeros((3, 5), np.float32), tokens[0].grid)])
    empty = BatchRequest(" ", [tokens[0]])
    ended = finished(batch, [*asked[:5], broken, empty, *asked[5:]])
    assert isinstance(ended[broken].error, ShapeError)
    assert isinstance(ended[empty].error, QuestionEmptyError)
    for one, answer in zip(asked, wanted, strict=True):
        verified = ended[one].verified
        assert verified is not None, ended[one].error
        assert (verified.answer.text, verified.answer.token_ids) == (answer.text, answer.token_ids)
        assert verified.answer.token_bits == pytest.approx(answer.token_bits, abs=5e-3)
        if one.draft is not None:
            alone = model.verify_draft(one.question, one.images, one.draft, max_new_tokens=7)
            assert verified.kept_tokens == alone.kept_tokens
    assert batch.held_tokens == 0


def test_positions_of_more_dimensions_are_answered_one_at_a_time(tiny_qwen3_vl: Path) -> None:
    model = open_model(str(tiny_qwen3_vl))
    assert model.open_batch(1000) is None
    assert "dimension" in (model.one_at_a_time or "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "turned"),
        ({"layer_types": ["sliding_attention"] * 6, "sliding_window": 16}, "looks back"),
    ],
)
def test_what_depends_on_length_is_answered_one_at_a_time(
    change: dict[str, Any], said: str, vlm: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = vlm.torch_model.config.get_text_config()
    for name, value in change.items():
        monkeypatch.setattr(text, name, value, raising=False)
    model = VisionLanguageModel("changed", vlm.torch_model, vlm.processor)
    assert model.open_batch(1000) is None
    assert said in (model.one_at_a_time or "")


def test_a_checkpoint_for_generate_itself_is_answered_one_at_a_time(
    vlm: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GeneralModel("beams", vlm.torch_model, vlm.processor)
    monkeypatch.setattr(vlm.torch_model.generation_config, "num_beams", 2)
    assert model.open_batch(1000) is None
    assert "generation_config" in (model.one_at_a_time or "")


def test_logits_that_differ_are_noticed(vlm: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder whose attention does not go by what is asked of the library."""
    from heliograph.vlm.continuous import passes

    attend = passes.PassPlan.attend
    monkeypatch.setattr(passes.PassPlan, "attend", lambda *given: attend(*given) * 0.5)
    model = VisionLanguageModel("odd", vlm.torch_model, vlm.processor)
    assert model.open_batch(1000) is None
    assert "other logits" in (model.one_at_a_time or "")
