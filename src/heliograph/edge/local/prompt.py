"""The local model's prompt without transformers: same ids as the checkpoint's processor and chat template give.

A prompt is a head (chat opening and the image placeholders, the same for every question) and a tail (question and chat
closing). The head's ids and the text around the question are written into the bundle when it is exported, where the
processor is at hand; the device only tokenises the tail. Control tokens written out in a question stay plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from heliograph.errors import (
    BundleDamagedError,
    MissingExtraError,
)
from heliograph.prompt_text import neutralised
from heliograph.question import check_text
from heliograph.reading.files import read_bytes
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundlePart, FileFault

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MAX_PROMPT_BYTES = 4 << 20
_MAX_TOKENIZER_BYTES = 64 << 20
_MAX_ID = (1 << 31) - 1


@dataclass(frozen=True)
class PromptPieces:
    """What the exporter writes into ``local_prompt.json``.

    Attributes:
        head_ids: everything up to the end of the image placeholders, for one image.
        before: text between the image and the question.
        after: text behind the question, up to where the answer begins.
        image_token_id: the placeholder in ``head_ids``.
        control_tokens: spelling of every control token with its id; none may come out of a question.
        end_ids: ids that end an answer.
        max_positions: longest prompt and answer together, in tokens.
    """

    head_ids: tuple[int, ...]
    before: str
    after: str
    image_token_id: int
    control_tokens: Mapping[str, int]
    end_ids: frozenset[int]
    max_positions: int

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read ``local_prompt.json``.

        Raises:
            BundleDamagedError: missing, or not what the exporter writes.
        """
        damaged = partial(BundleDamagedError, BundlePart.PROMPT)
        found = read_json_object(path, max_bytes=_MAX_PROMPT_BYTES, error=damaged, links=False)
        try:
            return cls(
                head_ids=tuple(map(_token_id, found["head_ids"])),
                before=_text(found["before"]),
                after=_text(found["after"]),
                image_token_id=_token_id(found["image_token_id"]),
                control_tokens={name: _token_id(number) for name, number in found["control_tokens"].items()},
                end_ids=frozenset(map(_token_id, found["end_ids"])),
                max_positions=_token_id(found["max_positions"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged(FileFault.CONTENT) from error


class LocalPrompt:
    """Question to prompt ids, answer ids to text.

    Args:
        tokenizer: the checkpoint's ``tokenizer.json``.
        pieces: what surrounds a question.
    """

    def __init__(self, tokenizer: Tokenizer, pieces: PromptPieces) -> None:
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._control_ids = frozenset(pieces.control_tokens.values())
        self._control_names = sorted(pieces.control_tokens, key=len, reverse=True)
        self._frame_controls = self._count_controls(self._encode(pieces.before + pieces.after))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load ``tokenizer.json`` and ``local_prompt.json`` from ``folder``.

        Raises:
            BundleDamagedError: one of them is missing or damaged.
            MissingExtraError: the tokenizers package is not installed.
        """
        pieces = PromptPieces.load(folder / "local_prompt.json")
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtraError("edge") from error
        damaged = partial(BundleDamagedError, BundlePart.TOKENIZER)
        data = read_bytes(folder / "tokenizer.json", max_bytes=_MAX_TOKENIZER_BYTES, error=damaged, links=False)
        try:
            return cls(Tokenizer.from_buffer(data), pieces)
        except Exception as error:  # the package raises bare Exception for a damaged file
            raise damaged(FileFault.CONTENT) from error

    @property
    def pieces(self) -> PromptPieces:
        """What surrounds a question."""
        return self._pieces

    def ids(self, question: str) -> tuple[int, ...]:
        """The whole prompt for one image and ``question``.

        Raises:
            QuestionEmptyError: nothing but white space.
            QuestionTooLongError: over 2000 characters.
            UsageError: it is not Unicode.
        """
        check_text(question)
        return self._pieces.head_ids + self._tail(neutralised(question.strip(), self._control_names))

    def text(self, ids: list[int]) -> str:
        """Answer text without control tokens and outer white space."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)).strip()

    def _tail(self, question: str) -> tuple[int, ...]:
        before, after = self._pieces.before, self._pieces.after
        ids = self._encode(before + question + after)
        if self._count_controls(ids) == self._frame_controls:
            return ids
        # A normaliser made a control token out of harmless text: encode the question on its own and drop them.
        plain = tuple(number for number in self._encode(question) if number not in self._control_ids)
        return (self._encode(before) if before else ()) + plain + self._encode(after)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _count_controls(self, ids: tuple[int, ...]) -> int:
        return sum(number in self._control_ids for number in ids)


def _token_id(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_ID:
        raise ValueError
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value
