"""The tap feeds tokens into an unmodified model, exactly, and leaves no trace."""

import hashlib
import threading
from types import SimpleNamespace

import pytest
import torch

from heliograph.errors import ModelUnsupportedError, ShapeError
from heliograph.types import VisualTokens
from heliograph.vlm.frame_tap import feed_image_features, find_tap
from heliograph.vlm.prompt import FrameInputs


def fingerprint(model):
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def logits_of(vlm, question, images):
    prompt = vlm.prompts.build(question, len(images))
    frames, features = frames_and_features(vlm, images)
    with torch.inference_mode():
        return vlm.decoder.prefill(torch.tensor([prompt.head + prompt.tail]), frames, features, keep=9)[0]


def frames_and_features(vlm, images):
    """Pixels of photos, and the tokens of all others over blank frames."""
    blank = vlm.prompts.blank(len(images))
    values, mask, features = blank.pixel_values.clone(), blank.pixel_attention_mask.clone(), []
    for place, image in enumerate(images):
        if isinstance(image, VisualTokens):
            features.append(torch.from_numpy(image.values))
            continue
        pixels = vlm.prompts.pixels([image])
        values[:, place], mask[:, place] = pixels.pixel_values[:, 0], pixels.pixel_attention_mask[:, 0]
        features.append(None)
    return FrameInputs(values, mask), features


def logits_without_heliograph(vlm, question, photos):
    """The model's own path: processor, forward, nothing of ours."""
    text = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}] * len(photos) + [{"type": "text", "text": question}]}],
        add_generation_prompt=True,
    )
    made = vlm.processor(text=[text], images=[photos], return_tensors="pt")
    with torch.inference_mode():
        return vlm.torch_model(**made, logits_to_keep=9).logits


@pytest.mark.parametrize("count", [1, 2])
def test_own_tokens_give_bit_equal_logits(vlm, photos, count):
    shown = photos[:count]
    restored = vlm.encode_images(shown)
    expected = logits_without_heliograph(vlm, "What colour is it?", shown)
    assert torch.equal(logits_of(vlm, "What colour is it?", restored), expected)
    assert torch.equal(logits_of(vlm, "What colour is it?", shown), expected)


@pytest.mark.parametrize("restored_place", [0, 1])
def test_tokens_and_pixels_mix(vlm, photos, tokens, restored_place):
    mixed = list(photos[:2])
    mixed[restored_place] = tokens[restored_place]
    expected = logits_without_heliograph(vlm, "What is it?", photos[:2])
    torch.testing.assert_close(logits_of(vlm, "What is it?", mixed), expected, rtol=1e-4, atol=1e-4)


def test_other_tokens_give_other_logits(vlm, tokens):
    assert not torch.equal(logits_of(vlm, "What is it?", tokens[:1]), logits_of(vlm, "What is it?", tokens[1:2]))


def test_weights_class_and_instance_are_untouched(vlm, tokens):
    model = vlm.torch_model
    owner = find_tap(model)
    before = fingerprint(model), type(model), type(owner), set(owner.__dict__), set(model.__dict__)
    logits_of(vlm, "What is it?", tokens[:2])
    assert (fingerprint(model), type(model), type(owner), set(owner.__dict__), set(model.__dict__)) == before
    assert type(model).__module__.startswith("transformers.")


def test_the_instance_is_restored_after_an_exception(vlm, tokens):
    owner = find_tap(vlm.torch_model)
    context = feed_image_features(vlm.torch_model, [None])
    context.__enter__()
    assert "get_image_features" in owner.__dict__
    assert context.__exit__(RuntimeError, RuntimeError(), None) is False
    assert "get_image_features" not in owner.__dict__


def test_an_attribute_that_was_there_before_comes_back(vlm):
    owner = find_tap(vlm.torch_model)
    mine = owner.get_image_features
    owner.get_image_features = mine
    try:
        with feed_image_features(vlm.torch_model, [None]):
            pass
        assert owner.__dict__["get_image_features"] is mine
    finally:
        del owner.__dict__["get_image_features"]


def test_nested_contexts_use_the_innermost(vlm, tokens):
    frames = vlm.prompts.blank(1)
    outer, inner = (torch.from_numpy(one.values) for one in tokens[:2])
    owner = find_tap(vlm.torch_model)

    def fed():
        return owner.get_image_features(frames.pixel_values, frames.pixel_attention_mask).pooler_output[0]

    with feed_image_features(vlm.torch_model, [outer]):
        with feed_image_features(vlm.torch_model, [inner]):
            assert torch.equal(fed(), inner)
        assert torch.equal(fed(), outer)


def test_other_threads_see_the_model_as_it_was(vlm, photos, tokens):
    expected = vlm.encode_image(photos[2]).values
    seen = []
    with feed_image_features(vlm.torch_model, [torch.from_numpy(tokens[0].values)]):
        thread = threading.Thread(target=lambda: seen.append(vlm.encode_image(photos[2]).values))
        thread.start()
        thread.join()
    assert (seen[0] == expected).all()


def test_many_threads_get_their_own_answers(vlm, tokens):
    expected = [vlm.answer("What is it?", [one], max_new_tokens=4).token_ids for one in tokens]
    seen = {}

    def work(place):
        seen[place] = [vlm.answer("What is it?", [tokens[place]], max_new_tokens=4).token_ids for _ in range(3)]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(tokens))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[place] for place in range(len(tokens))] == [[ids] * 3 for ids in expected]
    assert "get_image_features" not in find_tap(vlm.torch_model).__dict__


@pytest.mark.parametrize("entries", [0, 1, 3])
def test_a_wrong_number_of_entries_is_named(vlm, tokens, entries):
    frames = vlm.prompts.blank(2)
    features = [torch.from_numpy(tokens[0].values)] * entries or [None, torch.zeros(64, 128), None]
    with pytest.raises(ShapeError), feed_image_features(vlm.torch_model, features):
        vlm.torch_model.model.get_image_features(frames.pixel_values, frames.pixel_attention_mask)


def test_entries_of_unequal_shape_are_named(vlm):
    frames = vlm.prompts.blank(2)
    features = [torch.zeros(64, 128), torch.zeros(63, 128)]
    with pytest.raises(ShapeError), feed_image_features(vlm.torch_model, features):
        vlm.torch_model.model.get_image_features(frames.pixel_values, frames.pixel_attention_mask)


def test_padding_frames_take_no_tokens(vlm, tokens):
    frames = vlm.prompts.blank(2)
    pixels = frames.pixel_values.clone()
    pixels[0, 1] = 0.0  # the processor pads a batch of unequal image counts with all-zero frames
    given = torch.from_numpy(tokens[0].values)
    with feed_image_features(vlm.torch_model, [given]):
        made = vlm.torch_model.model.get_image_features(pixels, frames.pixel_attention_mask)
    assert torch.equal(made.pooler_output[0], given)


@pytest.mark.parametrize(
    "model", [torch.nn.Linear(2, 2), SimpleNamespace(get_image_features=lambda pixel_values, pixel_attention_mask: 0)]
)
def test_a_model_without_tap_is_refused(model):
    with pytest.raises(ModelUnsupportedError):
        find_tap(model)


def test_a_tap_with_other_arguments_is_refused():
    class Other(torch.nn.Module):
        def get_image_features(self, pixel_values, image_grid_thw):
            raise AssertionError

    with pytest.raises(ModelUnsupportedError):
        find_tap(Other())
