"""The text of real photos as strategy ``read`` sends it: bytes, beside zlib's, and how many answers are legible in it.

``python -m heliograph.bench.second_look.as_words READ.jsonl --dictionary STREET.jsonl``

``READ.jsonl`` is what :func:`heliograph.training.words.corpus.read_photos` found in photos of ``textvqa-dev``, the
dictionary what it found in ``street``: zlib's preset dictionary are the last 32 KiB of it, the window that it has. With
``--vlm field --questions 80`` a model is asked the first questions too, with these words and with the photo.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from heliograph.bench.data import data_folder
from heliograph.bench.second_look.questions import DATA, Asked, Kind, legible, load_questions, vqa_form
from heliograph.bench.stats import clustered_mean_interval
from heliograph.strategies.perception import ReadLine
from heliograph.strategies.semantic.lines import PlacedText, encode_lines, placed
from heliograph.strategies.semantic.text_model import text_model
from heliograph.training.words.corpus import found_in

LINES = (1, 2, 4, 8, 16, 32, 64)
_WINDOW = 1 << 15
_HEADER_BYTES = 1


@dataclass(frozen=True)
class Sent:
    """What one number of lines gives.

    Attributes:
        payload: (I,) bytes of ``read``, header, sizes and places included.
        alone: (I,) of the same lines' texts alone, by the same coder.
        raw, deflated, preset: (I,) bytes of the texts as they are, by zlib (no container), and with the dictionary.
        legible: (Q,) 1 where the answer can be read in the lines.
    """

    payload: np.ndarray
    alone: np.ndarray
    raw: np.ndarray
    deflated: np.ndarray
    preset: np.ndarray
    legible: np.ndarray


def deflated(text: bytes, dictionary: bytes = b"") -> int:
    """Bytes of zlib at its best, raw, with a preset dictionary where one is given."""
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, *([dictionary] if dictionary else []))
    return len(coder.compress(text) + coder.flush())


def sent(photos: dict[str, list[ReadLine]], asked: Sequence[Asked], most: int, dictionary: bytes) -> Sent:
    """All photos with so many lines each."""
    kept = {name: placed(lines, most) for name, lines in photos.items()}
    texts = {name: "\n".join(line.text for line in lines).encode() for name, lines in kept.items()}
    model = text_model()
    payload = [_HEADER_BYTES + len(encode_lines(lines, model)[0]) for lines in kept.values()]
    alone = [_text_bytes(lines) for lines in kept.values()]
    return Sent(
        np.array(payload),
        np.array(alone),
        np.array([len(text) for text in texts.values()]),
        np.array([deflated(text) for text in texts.values()]),
        np.array([deflated(text, dictionary) for text in texts.values()]),
        np.array([legible(one.answers, [vqa_form(line.text) for line in kept[one.photo]]) for one in asked], float),
    )


def _text_bytes(lines: Sequence[PlacedText]) -> int:
    """Bytes of the characters alone: sizes, places and whether another line follows taken out, at what they cost."""
    model, bits = text_model(), 0.0
    for count, line in enumerate(lines):
        chances = model.more[min(count, 32)], model.sizes[line.size], model.places[line.place]
        bits -= sum(float(np.log2(one / 65536)) for one in chances)
    return max(0, len(encode_lines(lines, model)[0]) - round(bits / 8))


def asked_a_model(name: str, photos: dict[str, list[ReadLine]], asked: Sequence[Asked]) -> str:
    """How often a model says an answer, from the words, from the photo, and from neither."""
    from heliograph.strategies.words import asked_with
    from heliograph.types import Words
    from heliograph.vlm.opening import open_model

    model, right = open_model(name), np.zeros((len(asked), 3))
    for row, one in enumerate(asked):
        words = "\n".join(map(str, placed(photos[one.photo], 32)))
        with Image.open(data_folder(DATA) / "photos" / one.photo) as file:
            photo = file.convert("RGB")
        ways: list[tuple[str, list[Any]]] = [
            asked_with(one.question, [Words(words)]),
            (one.question, [photo]),
            (one.question, []),
        ]
        for column, (text, images) in enumerate(ways):
            answer = model.answer(text, images, max_new_tokens=12).text
            right[row, column] = legible(one.answers, [vqa_form(answer)])
    words_share, photo_share, none_share = 100 * right.mean(axis=0)
    return (
        f"{name}, {len(asked)} questions: an answer is in what it says of {words_share:.1f} % with the words, "
        f"{photo_share:.1f} % with the photo, {none_share:.1f} % with neither."
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("read", type=Path)
    parser.add_argument("--dictionary", type=Path, required=True)
    parser.add_argument("--vlm", metavar="MODEL", help="ask a model too")
    parser.add_argument("--questions", type=int, default=80)
    arguments = parser.parse_args()
    photos = dict(found_in(arguments.read))
    asked = [one for one in load_questions() if one.photo in photos and one.kind is Kind.TEXT]
    known = "\n".join(line.text for _, lines in found_in(arguments.dictionary) for line in placed(lines, 64))
    print(f"{len(photos)} photos, {len(asked)} counted questions\n")
    print("| lines | `read`, bytes | texts alone | as they are | zlib | zlib, dictionary | answers legible, % |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for most in LINES:
        found = sent(photos, asked, most, known.encode()[-_WINDOW:])
        columns = (found.payload, found.alone, found.raw, found.deflated, found.preset)
        share = clustered_mean_interval(found.legible.tolist(), [one.photo for one in asked])
        interval = f" [{100 * share[0]:.1f}, {100 * share[1]:.1f}]" if share else ""
        numbers = " | ".join(f"{column.mean():.1f}" for column in columns)
        print(f"| {most} | {numbers} | {100 * found.legible.mean():.1f}{interval} |")
    if arguments.vlm:
        print("\n" + asked_a_model(arguments.vlm, photos, asked[: arguments.questions]))


if __name__ == "__main__":
    main()
