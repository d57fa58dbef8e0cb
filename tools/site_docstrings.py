"""Docstrings as Markdown: an extension of Griffe, which reads the package for the documentation site.

The docstrings refer to each other by Sphinx's roles, as in ``:class:`Bundle```, and announce drawings by ``::``.
Markdown knows neither.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")
_LITERAL = re.compile(r"::$", re.MULTILINE)


class MarkdownDocstrings(Extension):
    """Rewrites every docstring when Griffe has read its object."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for modules, classes, functions and attributes alike."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value, obj)


def as_markdown(text: str, obj: Object) -> str:
    """A docstring's text with links to what the site has a page for, and plain code for the rest."""

    def reference(match: re.Match[str]) -> str:
        name = match[2]
        shown = name.rpartition(".")[2] if match[1] else name
        return f'<autoref identifier="{_full_name(name, obj)}" optional><code>{shown}</code></autoref>'

    return _LITERAL.sub(":", _ROLE.sub(reference, text))


def _full_name(name: str, obj: Object) -> str:
    """What a name in a docstring stands for, seen from its object: whole names as they are."""
    if name.startswith("heliograph."):
        return name
    try:
        return obj.resolve(name)
    except Exception:  # a name that Griffe does not find is shown, and leads nowhere
        return name
