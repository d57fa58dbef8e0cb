"""A stranger's chat template runs once, in a process of its own with little time and memory; then it is text.

A chat template is a program. The library's sandbox keeps it away from files and Python's insides, but it may loop and
fill the memory as long as it likes, at every question. So it is run when the checkpoint is loaded, by the library's own
renderer, in a child process that the system ends beyond its limits; and what it puts around the question, for every
number of photos that a question can have, becomes a template without a program, which takes its place::

    chat template --child process--> (before, after) by number of photos --> {{ before + question + after }}

A template that does not put the question down as it is cannot be replaced in this way and is refused.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from heliograph.errors import ModelUnsupportedError
from heliograph.reading.json_values import parse_json

_CHILD = Path(__file__).with_name("template_child.py")
_DEFAULT = "default"
_MAX_TEMPLATE_CHARACTERS = 1 << 20
_MAX_ANSWER_BYTES = 8 << 20
_NOT_FIXED = "its chat template fails, changes the question, or takes more time, memory or characters than it may."

Frames = Mapping[int, tuple[str, str]]
"""Text before and behind the question, by number of photos."""


@dataclass(frozen=True)
class RenderLimits:
    """What a template may take.

    Attributes:
        processor_s: processor seconds of all renderings together (a well-behaved one needs hundredths).
        memory_bytes: address space beyond what the renderer itself has.
        characters: of one rendering.
        wall_s: seconds until the child is ended from outside, its start included.
    """

    processor_s: int = 5
    memory_bytes: int = 256 << 20
    characters: int = 1 << 18
    wall_s: float = 120.0


LIMITS = RenderLimits()


def with_fixed_template(processor: Any, most_images: int, limits: RenderLimits = LIMITS) -> Any:
    """The processor, whose chat template has become text: for one message of a user, photos first, then the question.

    Args:
        processor: changed in place; one without a chat template stays as it is.
        most_images: photos that a question may have.
        limits: of the template.

    Raises:
        ModelUnsupportedError: the template takes more than it may, fails for a single photo, or changes the question;
            its note says which.
    """
    template = _template_of(processor)
    if template is None:
        return processor
    words = {
        name: str(value) for name, value in processor.tokenizer.special_tokens_map.items() if isinstance(value, str)
    }
    fixed = fixed_template(template, tuple(sorted(words.items())), most_images, limits)
    processor.chat_template = fixed
    processor.tokenizer.chat_template = fixed
    return processor


@lru_cache(maxsize=16)
def fixed_template(
    template: str, words: tuple[tuple[str, str], ...], most_images: int, limits: RenderLimits = LIMITS
) -> str:
    """A template without a program that gives what ``template`` gives.

    Args:
        template: a chat template of a stranger.
        words: names and values that it may use, such as ``bos_token``.
        most_images: photos that a question may have.
        limits: of the template.

    Raises:
        ModelUnsupportedError: as :func:`with_fixed_template`.
    """
    if len(template) > _MAX_TEMPLATE_CHARACTERS:
        raise ModelUnsupportedError().noted(f"its chat template has over {_MAX_TEMPLATE_CHARACTERS} characters.")
    return _written(_frames(template, words, most_images, limits))


def _template_of(processor: Any) -> str | None:
    """The template that the library chooses: the processor's, else the tokenizer's; of several, ``default``."""
    for owner in (processor, processor.tokenizer):
        found = getattr(owner, "chat_template", None)
        if isinstance(found, dict):
            found = found.get(_DEFAULT)
        if isinstance(found, str):
            return found
    return None


def _frames(template: str, words: tuple[tuple[str, str], ...], most_images: int, limits: RenderLimits) -> Frames:
    """What the child process found, one photo among it.

    Raises:
        ModelUnsupportedError: as :func:`with_fixed_template`.
    """
    asked = {"template": template, "words": dict(words), "most_images": most_images, **asdict(limits)}
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD)],
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limits.wall_s,
            check=False,
        )
    except subprocess.TimeoutExpired as cause:
        raise ModelUnsupportedError().noted("its chat template takes too long.") from cause
    except OSError as cause:
        raise ModelUnsupportedError().noted("no process could be started for its chat template.") from cause
    if done.returncode or len(done.stdout) > _MAX_ANSWER_BYTES:
        raise ModelUnsupportedError().noted(_NOT_FIXED)
    found = parse_json(done.stdout, error=lambda _: ModelUnsupportedError().noted(_NOT_FIXED))
    if "1" not in found["frames"]:
        why = found["refused"].get("1")  # the child process has shortened it
        raise ModelUnsupportedError().noted(f"its chat template refuses a photo: {why}.")
    return {int(count): (str(before), str(after)) for count, (before, after) in found["frames"].items()}


def _written(frames: Frames) -> str:
    """The template that puts them down."""
    lines = [
        "{%- set content = messages[0]['content'] -%}",
        "{%- set images = content | selectattr('type', 'equalto', 'image') | list | length -%}",
        "{%- if messages | length != 1 or content | length != images + 1 or not add_generation_prompt -%}",
        "{{- raise_exception('one message with photos and a question') -}}",
    ]
    for count, (before, after) in sorted(frames.items()):
        lines.append(f"{{%- elif images == {count} -%}}")
        lines.append(f"{{{{- {_quoted(before)} + content[-1]['text'] + {_quoted(after)} -}}}}")
    lines += ["{%- else -%}", "{{- raise_exception('too many photos') -}}", "{%- endif -%}"]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """The text as a string of the template language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
