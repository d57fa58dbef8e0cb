"""Knowledge bases: what both ends know of how a device describes photos, as versioned templates with slots.

::

    "a red star top left, a sign K52 top center."
      --parts--> place, template and slots of each, some 8 bits for a thing --SymbolEncoder--> codeword

A knowledge base is a file of the package, ``templates-N.json``; its number travels in the header, and a number that is
not here is refused by name. What fits no template goes as text within the same codeword, so that every description
comes back to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from heliograph.errors import BundleDamagedError, StreamVersionError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundlePart, FileFault
from heliograph.strategies.semantic.lines import MAX_CHARACTERS, decode_text, encode_text
from heliograph.strategies.semantic.symbol_coder import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.strategies.semantic.text_model import TextModel, TextState

VERSIONS = (1,)
MAX_PARTS = 64
_BETWEEN, _AFTER = ", ", "."
_MAX_FILE_BYTES = 1 << 16
_SLOT = re.compile(r"\{(\w+)\}")
_ARTICLE, _PLACE = "a", "place"
_VOWELS = "aeiou"


@dataclass(frozen=True)
class Part:
    """A thing of a description.

    Attributes:
        place: row by row from the top left.
        template: number of it; that of the free text where nothing fits.
        slots: number of the word in each slot, in order.
        text: free; empty otherwise.
    """

    place: int
    template: int
    slots: tuple[int, ...] = ()
    text: str = ""


class KnowledgeBase:
    """Templates with the frequencies of what fills them; integers of 2 ** 16.

    Args:
        data: of ``templates-N.json``.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.slots: dict[str, list[str]] = {name: list(map(str, words)) for name, words in data["slots"].items()}
        rows, columns = data["places"]["rows"], data["places"]["columns"]
        self.places = [f"{row} {column}" for row in rows for column in columns]
        self.templates = [str(one["words"]) for one in data["templates"]]
        self.free = len(self.templates)
        self._names = [
            [name for name in _SLOT.findall(one) if name not in (_ARTICLE, _PLACE)] for one in self.templates
        ]
        self._patterns = [self._pattern(one) for one in self.templates]
        self._next = [sums_of(row) for row in data["places"]["next"]]  # from each place, and the beginning, to each
        self._kinds = sums_of([*(one["weight"] for one in data["templates"]), data["free_weight"]])
        self._words = {name: sums_of([1] * len(words)) for name, words in self.slots.items()}
        if len(self._next) != len(self.places) + 1 or any(len(row) != len(self.places) + 2 for row in self._next):
            raise ValueError("places and what follows them differ")

    def _pattern(self, template: str) -> re.Pattern[str]:
        def choice(found: re.Match[str]) -> str:
            name = found[1]
            if name == _ARTICLE:
                return "an?"
            words = self.places if name == _PLACE else self.slots[name]
            return f"({'|'.join(map(re.escape, words))})"

        return re.compile(_SLOT.sub(choice, template))

    # ---- words -----------------------------------------------------------------------------------------
    def parts(self, text: str) -> list[Part] | None:
        """The things of a description; None of one that would not come back to the letter."""
        if not text.endswith(_AFTER):
            return None
        found: list[Part] = []
        for one in text.removesuffix(_AFTER).split(_BETWEEN)[: MAX_PARTS + 1]:
            found.append(self._part(one, found[-1].place if found else 0))
        return found if len(found) <= MAX_PARTS and self.text(found) == text else None

    def text(self, parts: Sequence[Part]) -> str:
        """The description of some things."""
        return _BETWEEN.join(map(self._words_of, parts)) + _AFTER

    def _part(self, words: str, place: int) -> Part:
        for number, pattern in enumerate(self._patterns):
            match = pattern.fullmatch(words)
            if match is None:
                continue
            *filled, where = match.groups()
            slots = tuple(self.slots[name].index(one) for name, one in zip(self._names[number], filled, strict=True))
            part = Part(self.places.index(where), number, slots)
            if self._words_of(part) == words:
                return part
        return Part(place, self.free, text=words)

    def _words_of(self, part: Part) -> str:
        if part.template == self.free:
            return part.text
        filled = iter(part.slots)
        names = iter(self._names[part.template])

        def word(found: re.Match[str]) -> str:
            if found[1] == _ARTICLE:
                return "{a}"
            return self.places[part.place] if found[1] == _PLACE else self.slots[next(names)][next(filled)]

        words = _SLOT.sub(word, self.templates[part.template])
        article, _, rest = words.partition(" ")
        return f"{'an' if rest[:1] in _VOWELS else 'a'} {rest}" if article == "{a}" else words

    # ---- bytes -----------------------------------------------------------------------------------------
    def encode(self, parts: Sequence[Part], model: TextModel) -> tuple[bytes, list[int]]:
        """The codeword, and for each thing the bytes of it after which the thing is whole."""
        encoder, place = SymbolEncoder(), len(self.places)
        for part in parts:
            encoder.encode(part.place, self._next[place])
            encoder.encode(part.template, self._kinds)
            if part.template == self.free:
                encode_text(encoder, part.text, TextState(model))
            else:
                for name, slot in zip(self._names[part.template], part.slots, strict=True):
                    encoder.encode(slot, self._words[name])
            place = part.place
            encoder.mark()
        if len(parts) < MAX_PARTS:
            encoder.encode(len(self.places), self._next[place])
        return encoder.finish()

    def decode(self, prefix: bytes, model: TextModel) -> tuple[list[Part], bool]:
        """Every thing that the first bytes of a codeword hold whole, and whether these are all."""
        decoder, found, place = SymbolDecoder(prefix), list[Part](), len(self.places)
        while len(found) < MAX_PARTS:
            following = decoder.decode(self._next[place])
            if following is None or following == len(self.places):
                return found, following is not None
            part = self._decode_part(decoder, following, model)
            if part is None:
                return found, False
            found.append(part)
            place = part.place
        return found, True

    def _decode_part(self, decoder: SymbolDecoder, place: int, model: TextModel) -> Part | None:
        template = decoder.decode(self._kinds)
        if template is None:
            return None
        if template == self.free:
            text = decode_text(decoder, TextState(model), MAX_CHARACTERS)
            return None if text is None else Part(place, template, text=text)
        slots = []
        for name in self._names[template]:
            slot = decoder.decode(self._words[name])
            if slot is None:
                return None
            slots.append(slot)
        return Part(place, template, tuple(slots))


@lru_cache(maxsize=4)
def knowledge_base(version: int) -> KnowledgeBase:
    """The templates of a version, as the package has them.

    Raises:
        StreamVersionError: no such version here.
        BundleDamagedError: the package's file is damaged.
    """
    if version not in VERSIONS:
        known = ", ".join(map(str, VERSIONS))
        raise StreamVersionError().noted(f"It is of knowledge base {version}, and this program knows {known}.")
    path = Path(__file__).parent / f"templates-{version}.json"

    def damaged(fault: FileFault) -> BundleDamagedError:
        return BundleDamagedError(BundlePart.TABLES, fault)

    try:
        return KnowledgeBase(read_json_object(path, max_bytes=_MAX_FILE_BYTES, error=damaged))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(FileFault.CONTENT) from error


def sums_of(weights: Sequence[int]) -> list[int]:
    """Cumulative frequencies of 2 ** 16 in proportion to weights of at least 1."""
    total = sum(weights)
    shares = [max(1, TOTAL * weight // total) for weight in weights]
    shares[shares.index(max(shares))] += TOTAL - sum(shares)
    return [0, *accumulate(shares)]
