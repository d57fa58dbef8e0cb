"""What joins the halves: collected, stored, and merged into a model that then does the same without additions."""

from __future__ import annotations

import pytest
import torch

from heliograph.errors import ModelUnavailableError
from heliograph.training.field.alignment import add_low_rank, collect, load_alignment, merge, save_alignment
from tiny_field import tiny_field

IDS = torch.tensor([[1, 7, 9, 30, 31]])


def trained() -> tuple[object, dict[str, torch.Tensor]]:
    """A model whose additions and joints have been changed."""
    model, _ = tiny_field()
    additions = add_low_rank(model, 2, 0)
    torch.manual_seed(3)
    with torch.no_grad():
        for one in additions.values():
            one.up.normal_(std=0.3)
        model.model.vision_tower.positions.normal_()
        model.model.vision_tower.norm.bias.normal_()
        for weight in model.model.multi_modal_projector.parameters():
            weight.normal_(std=0.3)
    return model, collect(model, additions)


def test_additions_are_nothing_at_first() -> None:
    model, _ = tiny_field()
    before = model(input_ids=IDS).logits
    add_low_rank(model, 2, 0)
    torch.testing.assert_close(model(input_ids=IDS).logits, before)


def test_a_merged_model_does_what_the_trained_one_did(tmp_path) -> None:
    model, weights = trained()
    save_alignment(tmp_path / "a.safetensors", weights)
    plain, _ = tiny_field()
    merge(plain, load_alignment(tmp_path / "a.safetensors"))
    pixels = torch.randn(1, 3, 24, 24)
    for make in (lambda one: one(input_ids=IDS).logits, lambda one: one.get_image_features(pixels).pooler_output[0]):
        expected, found = make(model), make(plain)
        assert not torch.allclose(expected, make(tiny_field()[0]), atol=0.1)
        torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)  # it is stored in float16


def test_the_file_holds_what_was_trained_and_nothing_of_the_parts(tmp_path) -> None:
    _, weights = trained()
    save_alignment(tmp_path / "a.safetensors", weights)
    names = set(load_alignment(tmp_path / "a.safetensors"))
    assert {"positions", "norm.weight", "norm.bias", "projector.linear_1.weight"} <= names
    rest = {name for name in names if name.startswith("language_model.")}
    assert rest == {f"language_model.{i}.{p}.{f}" for i in (0, 1) for p in ("q_proj", "v_proj") for f in ("up", "down")}
    assert names - rest == {
        "positions", "norm.weight", "norm.bias",
        *(f"projector.linear_{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")),
    }  # fmt: skip


def test_an_alignment_of_another_model_is_refused() -> None:
    _, weights = trained()
    for changed in (
        {**weights, "positions": torch.zeros(9, 16)},
        {
            **weights,
            "language_model.7.q_proj.up": torch.zeros(32, 2),
            "language_model.7.q_proj.down": torch.zeros(2, 32),
        },
        {name: value for name, value in weights.items() if name != "norm.bias"},
    ):
        with pytest.raises(ModelUnavailableError):
            merge(tiny_field()[0], changed)


def test_a_missing_or_damaged_file_is_named(tmp_path) -> None:
    (tmp_path / "damaged").write_bytes(b"x" * 40)
    for name in ("missing", "damaged"):
        with pytest.raises(ModelUnavailableError) as caught:
            load_alignment(tmp_path / name)
        assert name in caught.value.subject
        assert caught.value.next_step
