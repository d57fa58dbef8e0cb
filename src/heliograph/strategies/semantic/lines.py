"""Lines of text in one codeword, the largest and surest first, so that whatever has arrived is whole lines.

::

    codeword: (more?) size place text END   (more?) size place text END   ...   (no more)

A line that is not all there is not shown: half of a number is another number. Characters beyond ASCII are an escape and
their bytes in UTF-8, behind the number of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from heliograph.strategies.perception import ReadLine
from heliograph.strategies.semantic.symbol_coder import TOTAL, SymbolDecoder, SymbolEncoder
from heliograph.strategies.semantic.text_model import END, ESCAPE, SYMBOLS, TextModel, TextState

SIZES = ("tiny", "small", "medium", "large")
_SIZE_BORDERS = (0.02, 0.045, 0.1)
"""Height of a line over the photo's longest edge: from here on it is of the next size."""

ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "center", "right")
MAX_LINES, MAX_CHARACTERS = 256, 2000
"""Of a photo; more are left out, and none are read."""

_BYTE = 256
_SPACE, _LAST = 32, 126
_MAX_CHARACTER_BYTES = 4


@dataclass(frozen=True)
class PlacedText:
    """A line as it is sent.

    Attributes:
        text: without control characters.
        size: place in :data:`SIZES`.
        place: 0 to 8, row by row from the top left.
    """

    text: str
    size: int
    place: int

    def __str__(self) -> str:
        row, column = ROWS[self.place // 3], COLUMNS[self.place % 3]
        return f"{SIZES[self.size]} text {row} {column}: {self.text}"


# ---- what is sent --------------------------------------------------------------------------------------
def in_order(lines: Iterable[ReadLine]) -> list[ReadLine]:
    """Lines with a text, by what is most worth: how large times how sure, the first of equal ones first."""
    kept = [one for one in lines if clean(one.text)]
    return sorted(kept, key=lambda one: -one.height * one.score)[:MAX_LINES]


def placed(lines: Iterable[ReadLine], most: int) -> list[PlacedText]:
    """The lines as they are sent, at most so many, and at most 2,000 characters of text."""
    found, characters = [], 0
    for one in in_order(lines)[:most]:
        text = clean(one.text)
        characters += len(text)
        if characters > MAX_CHARACTERS:
            break
        found.append(PlacedText(text, size_of(one), place_of(one)))
    return found


def clean(text: str) -> str:
    """A text without control characters, halves of surrogate pairs and white space around it."""
    return "".join(one for one in text if one.isprintable()).strip()


def size_of(line: ReadLine) -> int:
    """Place in :data:`SIZES`."""
    return sum(line.height >= border for border in _SIZE_BORDERS)


def place_of(line: ReadLine) -> int:
    """0 to 8, by the middle of its box."""
    row = min(2, max(0, int((line.top + line.bottom) / 2 * 3)))
    return 3 * row + min(2, max(0, int((line.left + line.right) / 2 * 3)))


# ---- coding ----------------------------------------------------------------------------------------------
def symbols_of(text: str) -> list[int]:
    """The symbols of a line, its end included; 97 and above stand for bytes of a character beyond ASCII."""
    found: list[int] = []
    for one in text:
        if _SPACE <= ord(one) <= _LAST:
            found.append(ord(one) - _SPACE + 1)
        else:
            data = one.encode()
            found += [ESCAPE, SYMBOLS + len(data) - 1, *(SYMBOLS + byte for byte in data)]
    return [*found, END]


def encode_lines(lines: Sequence[PlacedText], model: TextModel) -> tuple[bytes, list[int]]:
    """The codeword, and for each line the bytes of it after which the line is whole."""
    encoder, state = SymbolEncoder(), TextState(model)
    sizes, places = _sums(model.sizes.tolist()), _sums(model.places.tolist())
    for count, line in enumerate(lines):
        encoder.encode(1, _more(model, count))
        encoder.encode(line.size, sizes)
        encoder.encode(line.place, places)
        encode_text(encoder, line.text, state)
        encoder.mark()
    if len(lines) < MAX_LINES:
        encoder.encode(0, _more(model, len(lines)))
    return encoder.finish()


def decode_lines(prefix: bytes, model: TextModel) -> tuple[list[PlacedText], bool]:
    """Every line that the first bytes of a codeword hold whole, and whether these are all."""
    decoder, state = SymbolDecoder(prefix), TextState(model)
    sizes, places = _sums(model.sizes.tolist()), _sums(model.places.tolist())
    found: list[PlacedText] = []
    characters = 0
    while len(found) < MAX_LINES:
        more = decoder.decode(_more(model, len(found)))
        if more != 1:
            return found, more == 0
        size = decoder.decode(sizes)
        place = None if size is None else decoder.decode(places)
        if size is None or place is None:
            return found, False
        text = decode_text(decoder, state, MAX_CHARACTERS - characters)
        if text is None:
            return found, False
        characters += len(text)
        found.append(PlacedText(text, size, place))
    return found, True


def encode_text(encoder: SymbolEncoder, text: str, state: TextState) -> None:
    """Code one line of text with its end."""
    for symbol in symbols_of(text):
        if symbol < SYMBOLS:
            encoder.encode(symbol, state.sums())
            state.take(symbol)
        else:
            encoder.encode(symbol - SYMBOLS, _EVEN)


def decode_text(decoder: SymbolDecoder, state: TextState, most: int) -> str | None:
    """A line of text; None where it is not whole, longer than ``most``, or no text."""
    found: list[str] = []
    while len(found) <= most:
        symbol = decoder.decode(state.sums())
        if symbol is None:
            return None
        state.take(symbol)
        if symbol == END:
            return "".join(found)
        one = chr(symbol - 1 + _SPACE) if symbol != ESCAPE else _decode_escaped(decoder)
        if one is None:
            return None
        found.append(one)
    return None


def _decode_escaped(decoder: SymbolDecoder) -> str | None:
    """A character from its bytes; None where they are not there, or are none."""
    count = decoder.decode(_EVEN)
    if count is None or count >= _MAX_CHARACTER_BYTES:
        return None
    data = [decoder.decode(_EVEN) for _ in range(count + 1)]
    if any(byte is None for byte in data):
        return None
    try:
        text = bytes(byte for byte in data if byte is not None).decode()
    except UnicodeDecodeError:
        return None
    return text if len(text) == 1 and text.isprintable() else None


def _sums(frequencies: Sequence[int]) -> list[int]:
    return [0, *accumulate(frequencies)]


def _more(model: TextModel, count: int) -> list[int]:
    """Sums for whether another line follows behind so many."""
    chance = int(model.more[min(count, len(model.more) - 1)])
    return [0, TOTAL - chance, TOTAL]


_EVEN = _sums([TOTAL // _BYTE] * _BYTE)
