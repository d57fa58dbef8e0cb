"""The map of one layer, computed beside fast attention, is the one that slow attention gives out."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from heliograph.controllers.region.find import RegionSetting, relative_map
from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.types import Grid, VisualTokens
from heliograph.vlm.attention import AttentionFinder, attention_map, head_counts, head_maps, layer_maps, watching
from heliograph.vlm.checkpoint.loading import load_pretrained
from heliograph.vlm.families.shrink import tiny_config
from heliograph.vlm.general import GeneralModel

QUESTION = "What does the sign say?"


def slow_twin(model):
    """The same weights with attention that gives its weights out."""
    twin = AutoModelForImageTextToText.from_config(copy.deepcopy(model.config), attn_implementation="eager")
    twin.load_state_dict(model.state_dict())
    return twin.eval()


def passed(model, made):
    with torch.inference_mode():
        return model(**made, output_attentions=True, use_cache=False).attentions


def inputs_of(vlm, photo, question, answer_ids=()):
    text = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}],
        add_generation_prompt=True,
    )
    made = dict(vlm.processor(text=[text], images=[[photo]], return_tensors="pt"))
    more = torch.tensor([list(answer_ids)], dtype=made["input_ids"].dtype)
    made["input_ids"] = torch.cat([made["input_ids"], more], dim=1)
    made["attention_mask"] = torch.ones_like(made["input_ids"])
    return made


@pytest.mark.parametrize("layer", [0, 3])
def test_it_is_the_layer_s_own_attention_from_prompt_and_answer(vlm, photos, layer):
    tokens = vlm.encode_image(photos[0])
    answer = vlm.answer(QUESTION, [tokens], max_new_tokens=3)
    made = inputs_of(vlm, photos[0], QUESTION, answer.token_ids)
    places = made["input_ids"][0] == vlm.torch_model.config.image_token_id
    rows = 1 + len(answer.token_ids)
    wanted = passed(slow_twin(vlm.torch_model), made)[layer][0, :, -rows:, places]
    found = head_maps(vlm, QUESTION, tokens, layer=layer, answer_ids=answer.token_ids)
    assert found.shape == (rows, wanted.shape[0], 8, 8)
    np.testing.assert_allclose(found.reshape(*found.shape[:2], -1), wanted.transpose(0, 1), atol=1e-5)
    mean = attention_map(vlm, QUESTION, tokens, layer=layer)
    np.testing.assert_allclose(mean.ravel(), wanted[:, 0].mean(0), atol=1e-5)


def test_heads_that_share_keys_norms_and_another_rotary_function(tiny_qwen3_vl, photos):
    loaded, processor = load_pretrained(str(tiny_qwen3_vl))
    model = GeneralModel("tiny", loaded, processor)
    tokens = model.encode_image(photos[0])
    found = head_maps(model, QUESTION, tokens, layer=1)
    made = model._processed(QUESTION, [photos[0]])
    places = made["input_ids"][0] == loaded.config.image_token_id
    wanted = passed(slow_twin(loaded), made)[1][0, :, -1, places]
    assert found.shape == (1, 2, tokens.grid.rows, tokens.grid.columns)
    np.testing.assert_allclose(found.reshape(2, -1), wanted, atol=1e-5)


def test_the_model_is_left_as_it_was(vlm, photos):
    tokens = vlm.encode_image(photos[0])
    before = vlm.answer(QUESTION, [tokens]).token_ids
    with pytest.raises(RuntimeError), watching(vlm.torch_model, 1):
        raise RuntimeError
    head_maps(vlm, QUESTION, tokens, layer=1)
    hooks = [len(module._forward_pre_hooks) for module in vlm.torch_model.modules()]
    assert not any(hooks)
    assert vlm.torch_model.config.get_text_config()._attn_implementation == "sdpa"
    assert vlm.answer(QUESTION, [tokens]).token_ids == before


def test_no_such_layer(vlm, tokens):
    assert head_counts(vlm.torch_model) == (4,) * 6
    for layer in (-1, 6):
        with pytest.raises(ModelUnsupportedError):
            head_maps(vlm, QUESTION, tokens[0], layer=layer)


def test_tiles_have_no_one_map(vlm):
    with pytest.raises(ShapeError):
        head_maps(vlm, QUESTION, VisualTokens(np.zeros((128, 128), np.float32), Grid(8, 8, 2)), layer=0)


def test_a_pass_that_goes_on_from_a_cache_is_refused(vlm, tokens):
    prompt = vlm.prompts.build(QUESTION, 1)
    frames, features = vlm.images.inputs(tokens[:1])
    with torch.inference_mode():
        _, cache = vlm.decoder.prefill(torch.tensor([prompt.head]), frames, features)
        with watching(vlm.torch_model, 2), pytest.raises(ModelUnsupportedError):
            vlm.decoder.extend(torch.tensor([prompt.tail]), cache)


def test_a_decoder_of_another_kind_is_refused(vlm):
    class Fused(nn.Module):
        """One projection for queries, keys and values."""

        def __init__(self):
            super().__init__()
            self.config = vlm.torch_model.config
            self.qkv_proj = nn.Linear(2, 2)

    with pytest.raises(ModelUnsupportedError):
        head_counts(Fused())


def tiny(kind, **text):
    """A family's architecture with few and random weights, and the same with attention that gives its weights out."""
    config = tiny_config(kind)
    for name, value in text.items():
        setattr(config.get_text_config(), name, value)
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa").float().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3) if weight.dim() > 1 else weight.normal_(1.0, 0.3)
    return model, slow_twin(model)


@pytest.mark.parametrize("kind", ["gemma3", "aya_vision", "hunyuan_vl", "idefics2", "qwen3_vl", "exaone4_5"])
def test_windows_norms_and_layers_without_rotary_angles_are_the_layers_own(kind):
    """Norms before or after the rotation, layers that are not turned, windows of 64 over 90 positions."""
    model, slow = tiny(kind)
    ids = torch.randint(20, 300, (1, 90), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = slow(input_ids=ids, output_attentions=True, use_cache=False).attentions
        for layer, one in enumerate(wanted):
            with watching(model, layer, 3) as seen:
                model(input_ids=ids, use_cache=False)
            np.testing.assert_allclose(seen.weights, one[0, :, -3:], atol=1e-4)
            assert model.config.get_text_config()._attn_implementation == "sdpa"


def test_soft_caps_are_refused():
    model, _ = tiny("gemma3", attn_logit_softcapping=50.0)
    with pytest.raises(ModelUnsupportedError):
        head_counts(model)


def test_a_model_without_a_text_configuration_is_refused():
    with pytest.raises(ModelUnsupportedError):
        head_counts(SimpleNamespace(config=None, modules=lambda: []))


def test_several_layers_and_prompt_positions_from_one_pass(vlm, tokens):
    found = layer_maps(vlm, QUESTION, tokens[0], layers=(1, 4), prompt_rows=3)
    assert found.shape == (2, 3, 4, 8, 8)
    for place, layer in enumerate((1, 4)):
        np.testing.assert_allclose(found[place, -1], head_maps(vlm, QUESTION, tokens[0], layer=layer)[0], atol=1e-5)


def test_a_looker_divides_by_the_generic_prompt_of_the_same_photo(vlm, tokens):
    setting = RegionSetting(3, "describe the picture.", floor=0.1)
    region_finder = AttentionFinder(vlm, setting)
    for one in (tokens[0], tokens[1], tokens[0]):
        own, generic = (attention_map(vlm, text, one, layer=3) for text in (QUESTION, "describe the picture."))
        np.testing.assert_allclose(region_finder.relative(QUESTION, one), relative_map(own, generic, 0.1), rtol=1e-5)
    left, top, right, bottom = region_finder.find(QUESTION, tokens[0], (200, 150)).box
    assert 0 <= left < right <= 200
    assert 0 <= top < bottom <= 150
