"""What a model's visual tokens weigh, raw and coded, beside picture files of the same photos.

::

    photos --model's own tower--> tokens (N, D) --raw, klt, meta at several errors--> bytes --links--> seconds
           --JPEG, WebP, AVIF at the model's input size and at full size--> bytes ----------------^

Bytes and the error of tokens are all that it tells: what an answer is worth at them, a suite has to measure.
"""

from __future__ import annotations

import argparse
import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from heliograph.bench.numbers import number_text
from heliograph.codec.base import Codec
from heliograph.codec.fitting.fit import fit_klt
from heliograph.edge.device import Device
from heliograph.errors import CodecNotFittedError, DataMissingError, FileUnreadableError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import FileFault
from heliograph.strategies.base import Family
from heliograph.strategies.baseline.pictures import MAX_PICTURE_SIDE
from heliograph.strategies.selection import strategies_with, strategy_class
from heliograph.training.export.framing import FramedEncoder, frames_of
from heliograph.training.fitting.photo_sources import photo_files, readable_photo
from heliograph.training.progress import stage
from heliograph.types import Reporter, VisualTokens
from heliograph.vlm.codec_folder import public_name
from heliograph.vlm.contract import TorchModel

LINKS_MBIT = (0.25, 1.0, 10.0)
ERRORS = (0.5, 0.3, 0.2, 0.1)
_MAX_RESULT_BYTES = 16 << 20
_RAW = {"float32": 4, "float16": 2, "int8": 1}
_OWN_WEIGHTS = "the checkpoint's"
_MIN_FITTED = 8
_PAGE = """# Sizes of visual tokens

Written by `python -m heliograph.bench.device.sizes` from what `heliograph sizes --vlm MODEL --photos DIR --out OUT`
measured.
Bytes are means over photos; the error is the length of the difference of the tokens over the length of the tokens;
seconds are bytes over the link's rate, nothing else. Pictures at the *input size* have as many pixels as the model
reads of the photo, their shape kept. Tokens of random weights show what tokens of that shape cost raw; how well they
can be coded says nothing about a trained tower.
"""


@dataclass(frozen=True)
class SizeRow:
    """Means over photos.

    Attributes:
        what: representation, such as ``klt, error 0.2``.
        weights: what the tokens were made with; empty for picture files, which need none.
        payload_bytes: None where no photo reached the error.
        reached: share of the photos that reached the error.
        seconds: on a link of so many Mbit/s, payload alone; modelled as bytes over rate.
    """

    what: str
    weights: str
    payload_bytes: float | None
    reached: float
    seconds: dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """One model on some photos.

    Attributes:
        model: as it was named.
        weights: random, or the checkpoint's.
        photos: how many were measured.
        fitted_on: how many other photos ``klt`` was fitted on; 0 where a codec was given.
        tokens: mean N.
        hidden_size: D.
        rows: in the order of the table.
    """

    model: str
    weights: str
    photos: int
    fitted_on: int
    tokens: float
    hidden_size: int
    rows: tuple[SizeRow, ...]

    @classmethod
    def read_json(cls, path: Path) -> Self:
        """What :meth:`write_json` wrote.

        Raises:
            FileUnreadableError: no such file, or not one of these.
        """
        values = read_json_object(path, max_bytes=_MAX_RESULT_BYTES)
        try:
            return cls(**{**values, "rows": tuple(SizeRow(**row) for row in values["rows"])})
        except (KeyError, TypeError) as error:
            raise FileUnreadableError(FileFault.CONTENT).noted(f"{path}.") from error

    def write_json(self, path: Path) -> None:
        """All of it."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def measure_sizes(
    model: TorchModel, source: Path, *, codecs: Sequence[Codec] = (), most: int = 40, progress: Reporter = print
) -> Sizes:
    """Encode photos and weigh them.

    Args:
        model: any family.
        source: folder, zip or list of photos.
        codecs: fitted for the model; none fits ``klt`` on the first half of the photos and measures the others.
        most: photos at most.
        progress: receives a line per stage.

    Raises:
        DataMissingError: no readable photo.
        CodecNotFittedError: no codec, and fewer than 16 photos.
    """
    photos = _photos(source, most)
    framed = FramedEncoder(model, frames_of(model, None, progress))
    advance, tokens = stage(progress, len(photos), "encoding photos"), []
    for photo in photos:
        tokens.append(framed.encode_image(photo))
        advance(1)
    fitted_on = 0
    if not codecs:
        fitted_on = len(photos) // 2
        if fitted_on < _MIN_FITTED:
            raise CodecNotFittedError
        progress(f"fitting klt on {fitted_on} of them")
        codecs = [fit_klt(tokens[:fitted_on])]
    shown, measured = photos[fitted_on:], tokens[fitted_on:]
    weights = str(getattr(model.torch_model.config, "heliograph_weights", _OWN_WEIGHTS))
    rows = _raw_rows(measured, weights)
    for codec in codecs:
        progress(f"coding with {codec.kind}")
        rows += _codec_rows(codec, measured, weights)
    progress("writing picture files")
    rows += _picture_rows(shown, [model.pixels_read(framed.framed(photo).size) for photo in shown])
    mean_tokens = float(np.mean([one.grid.tokens for one in measured]))
    return Sizes(
        public_name(model.name), weights, len(measured), fitted_on, mean_tokens, model.hidden_size, tuple(rows)
    )


def _photos(source: Path, most: int) -> list[Image.Image]:
    """The first readable ones.

    Raises:
        DataMissingError: none.
    """
    found: list[Image.Image] = []
    for _, data in photo_files(source):
        if len(found) == most:
            break
        photo = readable_photo(data)
        found += [] if photo is None else [photo]
    if not found:
        raise DataMissingError().noted(f"{source}: no photo in it can be read.")
    return found


def _raw_rows(measured: Sequence[VisualTokens], weights: str) -> list[SizeRow]:
    values = float(np.mean([one.values.size for one in measured]))
    return [_row(f"tokens, {name}", weights, [values * size]) for name, size in _RAW.items()]


def _codec_rows(codec: Codec, measured: Sequence[VisualTokens], weights: str) -> list[SizeRow]:
    """One for each error, and one for the whole stream."""
    found: dict[str, list[float | None]] = {f"{codec.kind}, error {error:g}": [] for error in ERRORS}
    whole: list[float | None] = []
    for tokens in measured:
        sizes = _bytes_at(codec, tokens)
        for name, size in zip(found, sizes[:-1], strict=True):
            found[name].append(size)
        whole.append(sizes[-1])
    found[f"{codec.kind}, whole stream"] = whole
    return [_row(name, weights, sizes) for name, sizes in found.items()]


def _bytes_at(codec: Codec, tokens: VisualTokens) -> list[float | None]:
    """Bytes of the shortest prefix with each relative error, None where there is none; and of the whole stream."""
    encoded = codec.encode(tokens)
    length = max(float(np.linalg.norm(tokens.values)), 1e-30)

    def nearness(count: int) -> float:
        restored = codec.decode(encoded.header, encoded.segments[:count]).values
        return -float(np.linalg.norm(restored - tokens.values)) / length

    segments = len(encoded.segments)
    known: dict[int, float] = {}
    sizes: list[float | None] = []
    for error in ERRORS:
        count = bisect_left(range(segments + 1), -error, key=lambda k: known.setdefault(k, nearness(k)))
        sizes.append(None if count > segments else float(len(encoded.header) + sum(map(len, encoded.segments[:count]))))
    return [*sizes, float(encoded.payload_bytes)]


def _picture_rows(photos: Sequence[Image.Image], read: Sequence[int]) -> list[SizeRow]:
    device = Device(None)
    rows = []
    for name in strategies_with(tuned=True, family=Family.BASELINE):
        quality = strategy_class(name).default_setting["quality"]
        for size_name, sides in (
            ("input size", [_side(*one) for one in zip(photos, read, strict=True)]),
            ("full size", None),
        ):
            sizes: list[float | None] = []
            for place, photo in enumerate(photos):
                side = min(max(photo.size) if sides is None else sides[place], MAX_PICTURE_SIDE)
                sizes.append(float(device.encode(photo, name, {"size": side, "quality": quality}).payload_bytes))
            rows.append(_row(f"{name} quality {quality}, {size_name}", "", sizes))
    return rows


def _side(photo: Image.Image, pixels: int) -> int:
    """Longest edge of the photo, its shape kept, with as many pixels; not enlarged."""
    scale = min(1.0, math.sqrt(pixels / (photo.width * photo.height)))
    return max(1, round(scale * max(photo.size)))


def _row(what: str, weights: str, sizes: Sequence[float | None]) -> SizeRow:
    reached = [size for size in sizes if size is not None]
    mean = float(np.mean(reached)) if reached else None
    seconds = {} if mean is None else {f"{rate:g}": mean * 8 / (rate * 1e6) for rate in LINKS_MBIT}
    return SizeRow(what, weights, mean, len(reached) / len(sizes), seconds)


def markdown(sizes: Sequence[Sizes]) -> str:
    """A section with a table for each model."""
    return "\n\n".join(_section(one) for one in sizes) + "\n"


def _section(sizes: Sizes) -> str:
    head = ["representation", "weights", "bytes", *(f"s at {rate:g} Mbit/s" for rate in LINKS_MBIT)]
    rows = [cells(row) for row in sizes.rows]
    lines = [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows]]
    fitted = f"`klt` fitted on {sizes.fitted_on} others" if sizes.fitted_on else "codecs as `heliograph fit` made them"
    about = f"{sizes.tokens:,.0f} tokens of {sizes.hidden_size:,} channels; means over {sizes.photos} photos; {fitted}."
    return f"## {sizes.model}: {sizes.weights} weights\n\n{about}\n\n" + "\n".join(lines)


def cells(row: SizeRow) -> list[str]:
    """One line of the table."""
    if row.payload_bytes is None:
        return [row.what, row.weights or "none needed", "not reached", *([""] * len(LINKS_MBIT))]
    part = "" if row.reached == 1 else f" ({row.reached:.0%} of photos)"
    times = [number_text(row.seconds[f"{rate:g}"]) for rate in LINKS_MBIT]
    return [row.what, row.weights or "none needed", f"{row.payload_bytes:,.0f}{part}", *times]


def facts(sizes: Sizes) -> dict[str, Any]:
    """The measurements as JSON values, for ``--json``."""
    return asdict(sizes)


def main() -> None:
    """Write a page of what ``heliograph sizes --out`` found."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("found", type=Path, nargs="+", help="sizes.json")
    given = parser.parse_args()
    given.page.write_text(f"{_PAGE}\n{markdown([Sizes.read_json(path) for path in given.found])}", encoding="utf-8")


if __name__ == "__main__":
    main()
