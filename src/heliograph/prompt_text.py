"""Questions as plain text: control tokens written out in one lose their power, in the cloud and on the device alike."""

from __future__ import annotations

from collections.abc import Sequence


def neutralised(question: str, control_names: Sequence[str]) -> str:
    """``question`` with a space put into every written-out control token, so that it reads as plain text.

    Args:
        question: any text.
        control_names: spellings of the control tokens, longest first.
    """
    changed = True
    while changed:  # a replacement may put together another token's spelling
        changed = False
        for name in control_names:
            if len(name) > 1 and name in question:
                question = question.replace(name, f"{name[0]} {name[1:]}")
                changed = True
    return question
