"""What coefficients in place of pixels do to answers, bytes and time, on generated scenes and the reference model.

``python -m heliograph.bench.coefficients.answers OUT.jsonl`` encodes each scene at several qualities as coefficients
(``jpeg-dct``) and as a JPEG file of the same coefficients, restores both, and asks all its questions; then prefixes of
one stream, and tuned bare JPEG files. A line per scene and setting is kept and not made again; a summary is printed.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from heliograph.bench.coefficients.jpeg_file import jpeg_file
from heliograph.bench.metrics import score
from heliograph.bench.numbers import interval_text
from heliograph.bench.stats import clustered_mean_interval
from heliograph.bench.tasks import Item, scene_items
from heliograph.bench.timing import processor_s
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.serving.cloud import Cloud
from heliograph.strategies.base import Setting, label
from heliograph.strategies.compressed_domain.coefficients import quantised
from heliograph.types import Answer, EncodedImage, VisualTokens
from heliograph.vlm.model import VisionLanguageModel

SEED_START = 8_150_000
QUALITIES = (10, 20, 35, 50, 75, 90)
BUDGETS = (60, 120, 180, 260, 380, 560, 820, 1200, 1800)
PREFIX_OF = 75
FILES = tuple((size, quality) for size in (64, 80, 96, 128) for quality in (10, 20, 35, 50, 75))
_ROUNDS = 3


@dataclass(frozen=True)
class Restored:
    """A scene as the cloud gets it.

    Attributes:
        tokens: of the model.
        payload_bytes: that crossed the link.
        encode_ms, restore_ms: processor time of either end; until there are tokens, the tower's included.
    """

    tokens: VisualTokens
    payload_bytes: int
    encode_ms: float
    restore_ms: float


Way = Callable[[Image.Image], Restored]


class Ends:
    """Device and cloud of the shipped pair."""

    def __init__(self) -> None:
        bundle = Bundle.load(shipped_bundle_folder())
        self.model = VisionLanguageModel.load("reference")
        self.device, self.cloud = Device(bundle), Cloud(self.model, bundle.codecs, bundle.hash)

    def strategy(self, name: str, setting: Setting) -> Way:
        """A strategy at a setting, over neither socket nor frames."""

        def way(photo: Image.Image) -> Restored:
            stream, encode_ms = _timed(lambda: self.device.encode(photo, name, setting))
            tokens, restore_ms = _timed(lambda: self.cloud.restore(stream))
            return Restored(tokens, stream.payload_bytes, encode_ms, restore_ms)

        return way

    def file(self, quality: int) -> Way:
        """The pixels of the JPEG file of what ``jpeg-dct`` sends; bytes are those of the bare file at this size."""

        def way(photo: Image.Image) -> Restored:
            (picture,) = self.device.pictures(photo)
            data = jpeg_file(quantised(picture, quality, halved=True))
            tokens, restore_ms = _timed(lambda: self.model.encode_image(Image.open(io.BytesIO(data))))
            bare: EncodedImage
            bare, encode_ms = _timed(
                lambda: STRATEGIES.load("jpeg-bare")().encode(
                    self.device.pictures(photo)[0], self.device, {"size": picture.width, "quality": quality}
                )
            )
            return Restored(tokens, bare.payload_bytes, encode_ms, restore_ms)

        return way


def _timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the quickest of a few rounds in milliseconds."""
    times = []
    for _ in range(_ROUNDS):
        started = processor_s()
        found = step()
        times.append(1000 * (processor_s() - started))
    return found, min(times)


def ways(ends: Ends) -> Iterator[tuple[str, Way]]:
    """Every way by its name."""
    for quality in QUALITIES:
        yield f"jpeg-dct quality={quality}", ends.strategy("jpeg-dct", {"quality": quality})
        yield f"pixels quality={quality}", ends.file(quality)
    for budget in BUDGETS:
        setting: Setting = {"quality": PREFIX_OF, "max_bytes": budget}
        yield f"jpeg-dct {label(setting)}", ends.strategy("jpeg-dct", setting)
    for size, quality in FILES:
        setting = {"size": size, "quality": quality}
        yield f"jpeg-bare {label(setting)}", ends.strategy("jpeg-bare", setting)


def measured(ends: Ends, item: Item, done: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """A line for each way of sending one scene that is not done."""
    todo = [(name, way) for name, way in ways(ends) if (item.image_id, name) not in done]
    if not todo:
        return
    exact = ends.device.pictures(item.photo)[0]
    uncompressed = ends.model.encode_image(exact)
    wanted = _answers(ends, item, uncompressed)
    for name, way in todo:
        found = way(item.photo)
        given = _answers(ends, item, found.tokens)
        error = np.linalg.norm(found.tokens.values - uncompressed.values) / np.linalg.norm(uncompressed.values)
        yield {
            "scene": item.image_id,
            "way": name,
            "bytes": found.payload_bytes,
            "encode_ms": found.encode_ms,
            "restore_ms": found.restore_ms,
            "error": float(error),
            "answers": [one.text for one in given],
            "right": [score(record, one.text) for record, one in zip(item.records, given, strict=True)],
            "agrees": [float(a.text == b.text) for a, b in zip(given, wanted, strict=True)],
        }


def _answers(ends: Ends, item: Item, tokens: VisualTokens) -> list[Answer]:
    return ends.model.answer_questions([tokens], [record.question for record in item.records])


def summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line per way, in their order; of coefficients also the share of answers that are those of the file's pixels."""
    by_way: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        by_way.setdefault(row["way"], {})[row["scene"]] = row
    lines = []
    for name, scenes in by_way.items():
        found = list(scenes.values())
        line = f"{name:36} {len(found)} scenes: {np.mean([row['bytes'] for row in found]):7.0f} B, token error "
        line += f"{np.mean([row['error'] for row in found]):.3f}, right {_share(found, 'right')}, agree "
        line += f"{_share(found, 'agrees')}, encode {np.median([row['encode_ms'] for row in found]):.1f} ms, "
        line += f"to tokens {np.median([row['restore_ms'] for row in found]):.1f} ms"
        pixels = by_way.get(name.replace("jpeg-dct", "pixels"), {}) if name.startswith("jpeg-dct") else {}
        both = [(row, pixels[scene]) for scene, row in scenes.items() if scene in pixels]
        if both:
            same = [float(a == b) for one, other in both for a, b in zip(one["answers"], other["answers"], strict=True)]
            names = [row["scene"] for row, _ in both for _ in row["answers"]]
            line += f"; as from pixels {interval_text(float(np.mean(same)), clustered_mean_interval(same, names))}"
        lines.append(line)
    return lines


def _share(rows: Sequence[dict[str, Any]], what: str) -> str:
    values = [value for row in rows for value in row[what]]
    return interval_text(
        float(np.mean(values)), clustered_mean_interval(values, [row["scene"] for row in rows for _ in row[what]])
    )


def main() -> None:
    """The command in the module's first lines."""
    parser = argparse.ArgumentParser(description="Answers, bytes and time of coefficients in place of pixels.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(row["scene"], row["way"]) for row in rows}
    ends = Ends()
    with given.out.open("a") as out:
        for item in scene_items(SEED_START, given.scenes, descriptions=False):
            for row in measured(ends, item, done):
                rows.append(row)
                out.write(json.dumps(row) + "\n")
                out.flush()
    print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
