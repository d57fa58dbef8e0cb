"""MACs of networks by hand, by torch's counter on a processor and on meta, and of a language model's first pass."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForImageTextToText

from heliograph.bench.macs import Prefill, count, count_module, divprune_macs, prefill_of
from heliograph.errors import ModelUnsupportedError
from heliograph.reference.assets import shipped_model_folder
from heliograph.vlm.square_encoder import SquareEncoder


def reference(**text):
    """The reference model's shapes without weights, other where ``text`` says so."""
    config = AutoConfig.from_pretrained(shipped_model_folder())
    for name, value in text.items():
        setattr(config.text_config, name, value)
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config).eval()


MODEL = reference()


@functools.cache
def prefill():
    return prefill_of(MODEL)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.Linear(8, 3), (2, 5, 8), 2 * 5 * 8 * 3),
        (nn.Conv2d(4, 6, 3, padding=1), (1, 4, 7, 9), 7 * 9 * 6 * 4 * 9),
        (nn.Conv2d(4, 8, 3, stride=2, groups=4), (1, 4, 7, 9), 3 * 4 * 8 * 1 * 9),
        (nn.Sequential(nn.Linear(4, 4, bias=False), nn.GELU(), nn.LayerNorm(4)), (3, 4), 3 * 16),
    ],
)
def test_layers_by_hand(module, shape, macs, device):
    found = count_module(module.to(device), *shape)
    assert found.macs == macs
    assert found.flops == 2 * macs
    assert sum(found.by_operator.values()) == macs
    module.to_empty(device="cpu")


@pytest.mark.parametrize("how", [{}, {"is_causal": True}, {"attn_mask": torch.zeros(10, 10)}])
def test_attention_is_counted_on_a_processor_where_torch_alone_counts_nothing(how):
    given = torch.zeros(1, 4, 10, 8)
    with FlopCounterMode(display=False) as plain:
        scaled_dot_product_attention(given, given, given, **how)
    assert plain.get_total_flops() == 0
    assert count(lambda: scaled_dot_product_attention(given, given, given, **how)).macs == 2 * 4 * 10 * 10 * 8


def test_the_reference_tower_by_hand():
    patches, width, inner, layers = 64, 160, 480, 6
    layer = 4 * patches * width**2 + 2 * patches**2 * width + 2 * patches * width * inner
    expected = patches * width * 3 * 16 * 16 + layers * layer + patches * width * 128
    assert count_module(SquareEncoder(MODEL), 1, 3, 128, 128).macs == expected == 115_343_360


# ---- prefill ----------------------------------------------------------------------------------------
def test_the_first_pass_is_what_one_of_another_length_takes():
    found = prefill()
    decoder, head = MODEL.get_decoder(), MODEL.get_output_embeddings()
    given = torch.zeros(1, 83, 128, device="meta")
    mask = torch.zeros(1, 1, 83, 83, device="meta")
    made = count(lambda: head(decoder(inputs_embeds=given, attention_mask=mask, use_cache=False)[0][:, -1]))
    assert found.macs(83) == made.macs
    assert found.flops(83) == 2 * made.macs
    assert found.constant == 128 * 640


def test_divprunes_formula_leaves_out_the_gate_and_the_logits():
    found = prefill()
    for positions in (1, 64, 500):
        gate = 6 * positions * 128 * 384
        assert found.macs(positions) - divprune_macs(6, positions, 128, 384) == gate + found.constant


def test_shared_keys_and_values_are_counted_as_they_are():
    found = prefill_of(reference(num_key_value_heads=2))
    positions, width = 50, 128
    layer = (
        2 * positions * width**2 + 2 * positions * width * 64 + 2 * positions**2 * width + 3 * positions * width * 384
    )
    assert found.macs(positions) == 6 * layer + found.constant


def test_fewer_positions_take_less_and_none_the_logits_alone():
    found = Prefill(3, 5, 7)
    assert [found.macs(n) for n in (0, 1, 10)] == [7, 15, 357]


class Cubic(nn.Module):
    """A decoder with a product that grows by the cube of the positions."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(4, 2), nn.Linear(2, 4)

    def get_input_embeddings(self):
        return self.embedding

    def get_output_embeddings(self):
        return self.head

    def get_decoder(self):
        return self

    def forward(self, inputs_embeds, **how):
        length = inputs_embeds.shape[1]
        _ = torch.zeros(length, length) @ torch.zeros(length, length)
        return type("Made", (), {"last_hidden_state": inputs_embeds})()


def test_work_that_is_no_quadratic_function_is_refused():
    with pytest.raises(ModelUnsupportedError) as refused:
        prefill_of(Cubic())
    assert "quadratic" in refused.value.__notes__[0]
