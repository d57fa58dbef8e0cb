"""Every family that is recorded as exact is exact, and the records and the page are those of the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor, nn

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.families import contract
from heliograph.vlm.families.contract import EXACT, check_family, families
from heliograph.vlm.families.records import read_records
from heliograph.vlm.families.report import page
from heliograph.vlm.tap import find_owner

NEEDED = (
    "smolvlm",
    "idefics3",
    "llava",
    "llava_next",
    "llava_onevision",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "internvl",
    "gemma3",
    "paligemma",
    "mistral3",
    "florence2",
    "glm4v",
    "lfm2_vl",
)
RECORDED = {record["kind"]: record for record in read_records().families}
EXACT_KINDS = sorted(kind for kind, record in RECORDED.items() if record["outcome"] == EXACT)
PAGE = Path(__file__).parents[4] / "docs" / "vlms.md"


@pytest.mark.parametrize("kind", [kind for kind in EXACT_KINDS if kind in families()])
def test_tokens_answer_exactly_as_pixels(kind: str) -> None:
    verdict = check_family(kind)
    assert verdict.outcome == EXACT
    assert list(verdict.tokens or ()) == RECORDED[kind]["tokens"]
    assert verdict.side_by_side == RECORDED[kind]["side_by_side"]


def test_the_families_that_people_use_are_among_them() -> None:
    assert set(NEEDED) <= set(EXACT_KINDS)
    assert len(EXACT_KINDS) == 69  # as README and docs say; one that vanishes is missed here


def test_the_page_is_that_of_the_records() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_records_are_of_this_transformers() -> None:
    """After an upgrade, ``python -m heliograph.vlm.families.report docs/vlms.md`` makes the records anew."""
    recorded = read_records().transformers.split(".")[:2]
    assert transformers.__version__.split(".")[:2] == recorded
    assert set(RECORDED) == set(families())


@pytest.mark.parametrize(
    ("spoil", "outcome"),
    [
        (lambda tokens: tokens + 1e-3, "logits differ"),
        (lambda tokens: tokens.flip(0), "logits differ"),
    ],
)
def test_a_family_whose_tokens_change_on_the_way_is_found_out(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Tensor], Tensor], outcome: str
) -> None:
    honest = contract.output_with
    monkeypatch.setattr(contract, "output_with", lambda tokens, layout: honest(spoil(tokens), layout))
    verdict = check_family("qwen3_vl")
    assert verdict.outcome.endswith(outcome)
    assert verdict.tokens == (4, 192)


def test_a_family_that_ignores_its_photo_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "blank", dict)  # "grey" photos that are the photos themselves
    assert check_family("llava").outcome.endswith("the photo does not change the logits")


def test_what_fails_inside_a_family_is_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: str) -> None:
        raise RuntimeError("two\nlines " + "x" * 500)

    monkeypatch.setattr(contract, "tiny_config", broken)
    outcome = check_family("llava").outcome
    assert outcome == "a tiny random model of it cannot be made"
    assert len(outcome) < 200


def test_a_model_whose_forward_calls_no_tap_has_no_owner() -> None:
    class Deaf(nn.Module):
        def get_image_features(self, pixel_values: Tensor) -> Tensor:
            return pixel_values

        def forward(self, pixel_values: Tensor) -> Tensor:
            return torch.zeros(1)

    with pytest.raises(ModelUnsupportedError):
        find_owner(Deaf())
    assert check_family("git").outcome == "its forward calls no get_image_features"
