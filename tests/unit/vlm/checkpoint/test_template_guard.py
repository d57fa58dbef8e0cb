"""A template without a program gives what the stranger's gave, and one that takes too much is refused."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.checkpoint import template_child
from heliograph.vlm.checkpoint.template_guard import RenderLimits, fixed_template, with_fixed_template

COUNTED = """{% set counted = namespace(images=0) %}
{%- for message in messages -%}
{{ bos_token }}<|start|>{{ message.role }}
{% for part in message.content %}
{%- if part.type == 'image' or 'image' in part %}{% set counted.images = counted.images + 1 -%}
Picture {{ counted.images }}: <image>
{% elif part.type == 'text' %}{{ part['text'] | trim }}{% endif %}
{%- endfor -%}<|end|>
{% endfor -%}
{%- if add_generation_prompt %}<|start|>assistant
"say" \\ {% endif -%}"""
AT_MOST_TWO = """{%- if messages[0].content | length > 3 %}{{ raise_exception('two at most') }}{% endif -%}
{%- for part in messages[0].content %}{{ part.text if part.type == 'text' else '<image>' }}{% endfor %}\r\nso:"""
WORDS = (("bos_token", "<s>"),)
SMALL = RenderLimits(processor_s=1, memory_bytes=64 << 20, characters=1 << 16)


def rendered(template: str, question: str, images: int) -> str:
    content = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": question}]
    messages = [{"role": "user", "content": content}]
    made = render_jinja_template([messages], chat_template=template, add_generation_prompt=True, **dict(WORDS))
    return str(made[0][0])


@pytest.fixture
def child_within(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's work in this process and without its limits: one of its own takes seconds to start."""

    def run(command: Sequence[str], *, input: bytes, **how: Any) -> SimpleNamespace:
        assert command[-1] == template_child.__file__
        said = io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(input.decode()))
            patch.setattr(sys, "stdout", said)
            patch.setattr(template_child, "limit", lambda processor_s, memory_bytes: None)
            try:
                template_child.main()
            except Exception:  # the child would end with another status
                return SimpleNamespace(returncode=1, stdout=b"")
        return SimpleNamespace(returncode=0, stdout=said.getvalue().encode())

    monkeypatch.setattr("heliograph.vlm.checkpoint.template_guard.subprocess.run", run)


@pytest.mark.parametrize("template", [COUNTED, AT_MOST_TWO])
def test_it_gives_what_the_template_gives(template: str) -> None:
    fixed = fixed_template(template, WORDS, 2)
    assert "for" not in fixed.replace("format", "")

    @settings(max_examples=60, deadline=None)
    @given(st.text(min_size=1).map(str.strip).filter(bool), st.integers(0, 2))
    def check(question: str, images: int) -> None:
        assert rendered(fixed, question, images) == rendered(template, question, images)

    check()


def test_the_reference_models_own(vlm: Any) -> None:
    processor = vlm.processor
    template = processor.chat_template or processor.tokenizer.chat_template
    fixed = fixed_template(template, (), 8)
    for images in range(9):
        for question in ("what is on the sign?", "a\n  b {{ messages }}"):
            assert rendered(fixed, question, images) == rendered(template, question, images)


def test_other_conversations_are_refused_by_the_fixed_one() -> None:
    fixed = fixed_template(AT_MOST_TWO, WORDS, 8)
    with pytest.raises(Exception, match="too many photos"):
        rendered(fixed, "x", 3)
    user = {"role": "user", "content": [{"type": "text", "text": "x"}]}
    for messages, asked in (([user, user], True), ([user], False), ([{"role": "user", "content": [{}, {}]}], True)):
        with pytest.raises(Exception, match="one message"):
            render_jinja_template([messages], chat_template=fixed, add_generation_prompt=asked)


@pytest.mark.parametrize("template", ["{{ messages[0].content[-1].text | upper }}", "{{ raise_exception('never') }}"])
def test_what_the_child_refuses_is_refused(template: str) -> None:
    with pytest.raises(ModelUnsupportedError) as raised:
        fixed_template(template, (), 1, SMALL)
    assert "its chat template" in raised.value.__notes__[0]


@pytest.mark.usefixtures("child_within")
@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content[-1].text | lower }}",
        "{{ messages[0].content[-1].text | truncate(50) }}",
        "{{ messages[0].content[-1].text }}{{ messages[0].content[-1].text }}",
        "no question",
        "{{ raise_exception('not once') }}",
        "{% if %}",
        "{{ messages[0].content }}",
        "x" * ((1 << 20) + 1),
        "{{ messages[0].content[-1].text }}" + "x" * (1 << 16),
    ],
)
def test_what_cannot_be_fixed_is_refused(template: str) -> None:
    with pytest.raises(ModelUnsupportedError) as raised:
        fixed_template(template, (), 1, SMALL)
    assert "its chat template" in raised.value.__notes__[0]


@pytest.mark.usefixtures("child_within")
def test_what_a_template_says_may_be_any_text() -> None:
    with pytest.raises(ModelUnsupportedError) as raised:
        fixed_template("{{ raise_exception('\\ud800 never' + 'x' * 1000) }}", (), 1, SMALL)
    (said,) = raised.value.__notes__
    assert ": \\ud800 never" in said
    assert len(said) < 300


def test_time_is_bounded() -> None:
    slow = (
        "{% for i in range(3000) %}{% for j in range(3000) %}{% endfor %}{% endfor %}{{ messages[0].content[-1].text }}"
    )
    with pytest.raises(ModelUnsupportedError):
        fixed_template(slow, (), 8, SMALL)
    with pytest.raises(ModelUnsupportedError):
        fixed_template(AT_MOST_TWO, (), 1, RenderLimits(wall_s=0.001))


def test_memory_is_bounded() -> None:
    # "user", ten million times; a text that is known beforehand would be compiled into the template.
    large = "{% set x = messages[0].role * 10000000 %}{{ messages[0].content[-1].text }}"
    fixed_template(large, (), 1, RenderLimits(processor_s=20))
    with pytest.raises(ModelUnsupportedError):
        fixed_template(large, (), 1, RenderLimits(processor_s=20, memory_bytes=16 << 20))


def test_a_processor_has_its_template_replaced() -> None:
    tokenizer = SimpleNamespace(chat_template=None, special_tokens_map={"bos_token": "<s>", "extra": ["a"]})
    several = SimpleNamespace(tokenizer=tokenizer, chat_template={"default": COUNTED, "tools": "{{ 1 / 0 }}"})
    with_fixed_template(several, 2)
    assert several.chat_template == tokenizer.chat_template == fixed_template(COUNTED, WORDS, 2)
    assert "tools" not in several.chat_template

    none = SimpleNamespace(tokenizer=SimpleNamespace(chat_template=None, special_tokens_map={}), chat_template=None)
    assert with_fixed_template(none, 2).chat_template is None
