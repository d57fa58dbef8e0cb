"""The child process of :mod:`heliograph.vlm.checkpoint.template_guard`: renders a chat template under limits, and ends.

Reads one JSON object from standard input and writes another to standard output: by number of photos, the text before
and behind the question, or what the template says where it refuses so many. It is run as a file and imports nothing of
this package. Whatever goes wrong ends it with another exit status than 0.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

_LIBRARY = "transformers"
MAX_REASON = 200
MARK = "\ue000question\ue001"
QUESTIONS = (
    "Is there a red circle?",
    "7 or 8?",
    "first line\nsecond  line\t<b>bold</b> &amp; \"quoted\" 'so' \\n {{ x }} {% y %}",
    "größer 東京 🙂",
    "word " * 399 + "end",
)
"""What a template has to put down as it is; without white space around it, as every question is asked."""


def main() -> None:
    """Render what standard input names."""
    asked: dict[str, Any] = json.load(sys.stdin)
    render_jinja_template = renderer()

    def render(question: str, images: int) -> str:
        content = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": question}]
        made = render_jinja_template(
            conversations=[[{"role": "user", "content": content}]],
            chat_template=asked["template"],
            add_generation_prompt=True,
            **asked["words"],
        )
        text = str(made[0][0])
        if len(text) > asked["characters"]:
            raise ValueError
        return text

    import jinja2

    limit(asked["processor_s"], asked["memory_bytes"])
    frames: dict[int, tuple[str, str]] = {}
    refused: dict[int, str] = {}
    for images in range(asked["most_images"] + 1):
        try:
            frames[images] = frame(render, images)
        except jinja2.TemplateError as error:  # a template may refuse a number of photos
            refused[images] = reason_of(error)
    json.dump({"frames": frames, "refused": refused}, sys.stdout)


def renderer() -> Any:
    """The library's own renderer, without the rest of the library, which takes far longer to import."""
    if _LIBRARY not in sys.modules:
        found = importlib.util.find_spec(_LIBRARY)
        folders = (found.submodule_search_locations or []) if found is not None else []
        for name, *rooms in ((_LIBRARY,), (f"{_LIBRARY}.utils", "utils")):
            package = types.ModuleType(name)  # finds its modules, and has run no code of its own
            package.__path__ = [str(Path(folder, *rooms)) for folder in folders]
            sys.modules[name] = package
        try:
            return _renderer()
        except (ImportError, AttributeError):  # in this version it needs the rest
            for name in [name for name in sys.modules if name.partition(".")[0] == _LIBRARY]:
                del sys.modules[name]
    return _renderer()


def _renderer() -> Any:
    return importlib.import_module(f"{_LIBRARY}.utils.chat_template_utils").render_jinja_template


def frame(render: Any, images: int) -> tuple[str, str]:
    """Text before and behind any question about so many photos."""
    before, mark, after = render(MARK, images).partition(MARK)
    if not mark or MARK in after:
        raise ValueError
    if any(render(question, images) != before + question + after for question in QUESTIONS):
        raise ValueError
    return before, after


def reason_of(error: Exception) -> str:
    """First words of a refusal, in characters that can be written down."""
    return (str(error) or "it gives no reason")[:MAX_REASON].encode("utf-8", "backslashreplace").decode("utf-8")


def limit(processor_s: int, memory_bytes: int) -> None:
    """Bound what this process may still take, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock alone
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + processor_s
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):  # systems without /proc count differently: time alone
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory_bytes, now + memory_bytes))


if __name__ == "__main__":
    main()
