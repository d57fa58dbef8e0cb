"""What docs/words.md says, once more by a receiver written from the page: lines and captions from their codewords."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import heliograph
from heliograph.strategies.semantic.lines import PlacedText, encode_lines
from heliograph.strategies.semantic.templates import knowledge_base
from heliograph.strategies.semantic.text_model import text_model

ROOM = Path(heliograph.__file__).parent / "strategies" / "semantic"
TABLES = {name: array.astype(np.int64) for name, array in load_file(ROOM / "text-1.safetensors").items()}
BASE = json.loads((ROOM / "templates-1.json").read_text(encoding="utf-8"))
SIZES, ROWS, COLUMNS = ("tiny", "small", "medium", "large"), ("top", "middle", "bottom"), ("left", "center", "right")


class Receiver:
    """The arithmetic decoder of the page, on a whole codeword."""

    def __init__(self, codeword: bytes) -> None:
        self.low, self.range, self.places = 0, 1 << 48, 48
        self.value, self.length = int.from_bytes(codeword, "big"), len(codeword)

    def take(self, frequencies: Any) -> int:
        unit, below = self.range // 65536, 0
        assert sum(frequencies) == 65536
        spare = self.places - 8 * self.length
        at = self.value << spare if spare >= 0 else self.value >> -spare
        symbol, frequency = 0, int(frequencies[0])
        while at >= self.low + unit * (below + frequency):
            symbol, below = symbol + 1, below + frequency
            frequency = int(frequencies[symbol])
        self.low, self.range = self.low + unit * below, unit * frequency
        while self.range < 1 << 40:
            self.low, self.range, self.places = self.low << 8, self.range << 8, self.places + 8
        return symbol


def weighted(weights: list[int]) -> list[int]:
    found = [max(1, 65536 * weight // sum(weights)) for weight in weights]
    found[found.index(max(found))] += 65536 - sum(found)
    return found


def characters(seen: list[int]) -> list[int]:
    """Frequencies of the next symbol behind those of the photo's lines."""
    context = ([0] * 8 + seen)[-8:]
    x = np.concatenate([TABLES["embedding"][one] for one in context])
    h = np.clip((x @ TABLES["first"] + TABLES["first_bias"]) >> 5, 0, 1023)
    logits = ((h @ TABLES["second"] + TABLES["bias"]) >> 6) + (TABLES["bigram"][context[-1]] << 2)
    w = [round(2 ** (24 - min(int(logits.max() - one), 1599) / 64)) for one in logits]
    f = [1 + one * (65536 - 97) // sum(w) for one in w]
    f[int(np.argmax(logits))] += 65536 - sum(f)
    for k in range(min(8, len(seen)), 0, -1):
        places = [at for at in range(len(seen) - k) if seen[at : at + k] == seen[-k:]]
        if places:
            following, share = seen[places[-1] + k], int(TABLES["match"][k])
            f = [1 + ((one - 1) * (256 - share) >> 8) for one in f]
            f[following] += 65536 - sum(f)
            break
    return f


def text(receiver: Receiver, seen: list[int]) -> str:
    found = ""
    while True:
        symbol = receiver.take(characters(seen))
        seen.append(symbol)
        if symbol == 0:
            return found
        if symbol < 96:
            found += chr(symbol + 31)
        else:
            count = receiver.take([256] * 256) + 1
            found += bytes(receiver.take([256] * 256) for _ in range(count)).decode()


LINES = (
    [],
    [PlacedText("OPEN", 3, 0)],
    [PlacedText("Café Römer", 2, 4), PlacedText("Tel. 555-0199", 0, 8), PlacedText("555-0199", 1, 2)],
    [PlacedText("ばくだん ~{", 1, 1), PlacedText("ABABABABAB ABABAB", 1, 7)],
)


@pytest.mark.parametrize("lines", LINES)
def test_lines(lines: list[PlacedText]) -> None:
    receiver, seen, found = Receiver(encode_lines(lines, text_model())[0]), list[int](), []
    while True:
        more = int(TABLES["more"][min(len(found), 32)])
        if not receiver.take([65536 - more, more]):
            break
        size, place = receiver.take(TABLES["sizes"]), receiver.take(TABLES["places"])
        found.append(f"{SIZES[size]} text {ROWS[place // 3]} {COLUMNS[place % 3]}: {text(receiver, seen)}")
    assert found == [str(line) for line in lines]


@pytest.mark.parametrize(
    "words",
    [
        "a red star top left, a sign K52 top center.",
        "an orange moon bottom right, a dog in the snow, a blue ring top left.",
    ],
)
def test_captions(words: str) -> None:
    base = knowledge_base(1)
    parts = base.parts(words)
    assert parts is not None
    receiver, found, before = Receiver(base.encode(parts, text_model())[0]), [], 9
    kinds = [*(one["weight"] for one in BASE["templates"]), BASE["free_weight"]]
    while True:
        place = receiver.take(weighted(BASE["places"]["next"][before]))
        if place == 9:
            break
        before, kind = place, receiver.take(weighted(kinds))
        if kind == len(BASE["templates"]):
            found.append(text(receiver, []))
            continue
        said = BASE["templates"][kind]["words"]
        while "{" in said:
            start, _, rest = said.partition("{")
            name, _, rest = rest.partition("}")
            if name == "a":
                said = f"@{rest}"
            elif name == "place":
                said = f"{start}{ROWS[place // 3]} {COLUMNS[place % 3]}{rest}"
            else:
                choices = BASE["slots"][name]
                said = start + choices[receiver.take(weighted([1] * len(choices)))] + rest
        found.append(said.replace("@", "an" if said[2] in "aeiou" else "a"))
    assert ", ".join(found) + "." == words
