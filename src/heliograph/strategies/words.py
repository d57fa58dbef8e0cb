"""Words in the place of a photo: the question that a model without the photo is asked, and what is left to show it.

::

    question, [Words, crop ...] --asked_with--> "In the photo ... K47 ... <question>", [crop ...] --> model

The words are a stranger's, as the question is: they go where the question goes, so that whoever makes prompts keeps
control tokens out of both.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph.question import MAX_QUESTION_CHARACTERS, check_text
from heliograph.types import VisualTokens, Words

_BEFORE = "There is a photo that you cannot see. This is known of it:\n"
_BETWEEN = "\nAnswer from that alone. "
MAX_WORDS = 1400
"""Characters of words before a question: with the longest question they would be more than any question may have, so
that the least important words are left out there."""


def asked_with(question: str, seen: Sequence[VisualTokens | Words]) -> tuple[str, list[VisualTokens]]:
    """What a model is asked, and the visual tokens that it sees; the question alone where no words are among them.

    Args:
        question: 1 to 2000 characters.
        seen: of the whole photo first, then of crops.

    Raises:
        QuestionEmptyError, QuestionTooLongError, UsageError: the question cannot be asked.
    """
    tokens = [one for one in seen if isinstance(one, VisualTokens)]
    words = "\n".join(one.text for one in seen if isinstance(one, Words))
    if len(tokens) == len(seen):
        return question, tokens
    check_text(question)
    frame = len(_BEFORE) + len(_BETWEEN) + len(question)
    return f"{_BEFORE}{shortened(words, min(MAX_WORDS, MAX_QUESTION_CHARACTERS - frame))}{_BETWEEN}{question}", tokens


def shortened(text: str, most: int) -> str:
    """The first whole lines of a text within ``most`` characters; of a single longer line its first characters."""
    if len(text) <= most:
        return text
    whole, _, _ = text[: max(most, 0) + 1].rpartition("\n")
    return whole or text[: max(most, 0)]
