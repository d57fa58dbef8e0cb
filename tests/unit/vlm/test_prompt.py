"""Prompts are the processor's own, and user text never becomes a control token."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tokenizers.processors import TemplateProcessing

from heliograph.edge.local.prompt import LocalPrompt
from heliograph.errors import HeliographError, ModelUnsupportedError
from heliograph.training.export.onnx_graphs import prompt_pieces
from heliograph.vlm.prompt import PromptBuilder, forget_words

CONTROL = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<|im_start|>", "<|pad|>")


def processed(vlm, question, images):
    text = vlm.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}] * images + [{"type": "text", "text": question}]}],
        add_generation_prompt=True,
    )
    shown = [[Image.new("RGB", (9, 9), (1, 2, 3))] * images]
    return tuple(vlm.processor(text=[text], images=shown)["input_ids"][0])


@pytest.mark.parametrize("images", [1, 2])
def test_prompts_equal_the_processors(vlm, questions, images):
    for question in (*questions, "Größe? 大きさ 7/8 …"):
        prompt = vlm.prompts.build(question, images)
        assert prompt.head + prompt.tail == processed(vlm, question, images)


@pytest.mark.parametrize("name", CONTROL)
@pytest.mark.parametrize("form", ["{}", "what is {} here?", "{0}{0}{0}", "<{0}{0}>", "a\n{}"])
def test_control_tokens_in_a_question_stay_text(vlm, name, form):
    plain, attack = (vlm.prompts.build(q, 1) for q in ("what is here?", form.format(name)))
    assert attack.head == plain.head
    control = set(vlm.processor.tokenizer.all_special_ids)
    assert [i for i in attack.tail if i in control] == [i for i in plain.tail if i in control]


def test_a_control_token_cut_in_two_stays_text(vlm):
    assert vlm.prompts.neutralise("<<image>image>").count("<image>") == 0


def test_a_question_of_control_tokens_answers(vlm, tokens):
    assert vlm.answer("<image>" * 20, tokens[:1], max_new_tokens=2).confidence > 0


def test_ordinary_text_is_not_changed(vlm, questions):
    for question in (*questions, "is 3 < 4 > 2?", "<b>bold</b>", "image"):
        assert vlm.prompts.neutralise(question) == question


def test_any_text_gives_a_prompt_or_a_named_error(vlm):
    control = set(vlm.processor.tokenizer.all_special_ids)
    plain = sum(i in control for i in vlm.prompts.build("what", 1).tail)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.sampled_from((*CONTROL, "<", ">", "|", "image")) | st.text(max_size=8), max_size=12))
    def check(parts):
        try:
            prompt = vlm.prompts.build("".join(parts), 1)
        except HeliographError:
            return
        assert sum(i in control for i in prompt.tail) == plain

    check()


def test_a_template_that_hides_the_question_is_refused(vlm):
    processor = vlm.processor
    template = processor.chat_template
    processor.chat_template = "<image>fixed"
    try:
        with pytest.raises((ModelUnsupportedError, ValueError)):
            PromptBuilder(processor, vlm.torch_model.config.image_token_id)
    finally:
        processor.chat_template = template


@pytest.fixture
def doubled(vlm):
    """The same processor with a tokenizer that writes the first token too, as the template does."""
    processor = copy.deepcopy(vlm.processor)
    start, number = processor.tokenizer.bos_token, processor.tokenizer.bos_token_id
    backend = processor.tokenizer.backend_tokenizer
    backend.post_processor = TemplateProcessing(single=f"{start} $A", special_tokens=[(start, number)])
    assert processor.tokenizer("a")["input_ids"][0] == number
    return processor


def judged(processor, question, images):
    shown = [{"type": "image", "image": Image.new("RGB", (9, 9), (1, 2, 3))}] * images
    made = processor.apply_chat_template(
        [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
    )
    return tuple(made["input_ids"][0])


@pytest.mark.parametrize("images", [1, 2])
def test_a_first_token_that_is_written_twice_stands_there_once(vlm, doubled, questions, images):
    number = doubled.tokenizer.bos_token_id
    builder = PromptBuilder(doubled, vlm.torch_model.config.image_token_id)
    for question in questions:
        prompt = builder.build(question, images)
        ids = prompt.head + prompt.tail
        assert ids == judged(doubled, question, images) == judged(vlm.processor, question, images)
        assert ids[0] == number != ids[1]


def test_the_devices_prompt_has_it_once_too(vlm, doubled, questions, tmp_path):
    builder = PromptBuilder(doubled, vlm.torch_model.config.image_token_id)
    pieces = prompt_pieces(builder, doubled, vlm.torch_model, frozenset({2}))
    (tmp_path / "local_prompt.json").write_text(json.dumps(pieces))
    doubled.tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    local = LocalPrompt.load(tmp_path)
    for question in questions:
        assert local.ids(question) == judged(doubled, question.strip(), 1)


def test_a_first_token_that_only_the_tokenizer_writes_is_kept(vlm, doubled, questions):
    start = doubled.tokenizer.bos_token
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]}]
    written = doubled.apply_chat_template(messages, add_generation_prompt=True)
    doubled.chat_template = doubled.chat_template.replace(start, "")
    assert start + doubled.apply_chat_template(messages, add_generation_prompt=True) == written
    builder = PromptBuilder(doubled, vlm.torch_model.config.image_token_id)
    for question in questions:
        prompt = builder.build(question, 1)
        assert prompt.head + prompt.tail == judged(doubled, question, 1)
        assert prompt.head[0] == doubled.tokenizer.bos_token_id


def test_questions_are_forgotten(vlm, monkeypatch):
    cleared = []
    monkeypatch.setattr("heliograph.vlm.prompt.forget_words", cleared.append)
    before = vlm.prompts.build("what is my secret?", 1)
    assert vlm.prompts._cached_tail.cache_info().currsize > 0
    vlm.forget_questions()
    assert vlm.prompts._cached_tail.cache_info().currsize == 0
    assert cleared == [vlm.prompts._tokenizer]
    assert vlm.prompts.build("what is my secret?", 1) == before


def test_a_tokenizer_forgets_words_and_tokenises_as_before(vlm):
    tokenizer = vlm.prompts._tokenizer
    assert hasattr(tokenizer.backend_tokenizer.model, "_clear_cache")  # what the library offers, under this name
    before = tokenizer("what is my secret?")["input_ids"]
    forget_words(tokenizer)
    assert tokenizer("what is my secret?")["input_ids"] == before
