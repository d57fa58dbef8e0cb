"""How far the tokens of coefficients are from those of the decoded pixels of the same JPEG, and which step costs what.

``python -m heliograph.bench.coefficients.errors OUT.jsonl`` takes photos of ``kodak``, ``street`` and ``textvqa-dev``,
squashed to the model's input, and writes a line per photo, quality and sampling; what is there is not made again.
``--vlm FOLDER`` takes another checkpoint with one frame per photo, such as that of
``heliograph.bench.device.true_shapes``, whose splitting into tiles is switched off. A summary is printed at the end.

Each line holds errors: the norm of the difference from the tokens of the file that Pillow decodes, over the norm of
those tokens, and over that of what distinguishes them from the mean token of all photos (``varying``).
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from heliograph.bench.coefficients.jpeg_file import jpeg_file
from heliograph.bench.coefficients.pixels import Decoder, embedded_pixels
from heliograph.bench.data import data_folder
from heliograph.bench.numbers import interval_text
from heliograph.bench.stats import clustered_mean_interval
from heliograph.reference.assets import shipped_model_folder
from heliograph.strategies.baseline.pictures import squashed
from heliograph.strategies.compressed_domain.coefficients import quantised
from heliograph.strategies.compressed_domain.fold import fold_of
from heliograph.training.fitting.photo_sources import photo_files, readable_photo
from heliograph.types import FloatArray
from heliograph.vlm.checkpoint.loading import load_pretrained
from heliograph.vlm.model import VisionLanguageModel

FOLDERS = ("kodak", "street", "textvqa-dev")
STEPS = {
    "nearest chroma": Decoder(smooth=False),
    "clipped, not rounded": Decoder(clips=True),
    "rounded, not clipped": Decoder(rounds=True),
}
"""Decoders in floats beside the coefficients themselves, which do all but round and clip."""

FOLD = "coefficients"
"""Name of their own error among those of the steps."""


def photos(count: int) -> Iterator[tuple[str, Image.Image]]:
    """The first photos of each folder: (folder/name, photo).

    Raises:
        DataMissingError: a folder is not there.
    """
    for folder in FOLDERS:
        found = 0
        for name, content in photo_files(data_folder(folder)):
            photo = readable_photo(content)
            if photo is not None and found < count:
                found += 1
                yield f"{folder}/{name}", photo


def one_frame_model(name: str) -> VisionLanguageModel:
    """A model of the Idefics3 family that shows every photo in one frame.

    Raises:
        ModelUnavailableError, ModelUnsupportedError: it cannot be loaded, or is of another family.
    """
    model, processor = load_pretrained(name)
    images = processor.image_processor
    images.do_image_splitting, images.size = False, dict(images.max_image_size)
    return VisionLanguageModel(name, model, processor)


def errors_of(model: VisionLanguageModel, photo: Image.Image, quality: int, halved: bool, steps: Sequence[str]) -> Any:
    """Errors of one photo by step, and norm and mean of its tokens."""
    side = model.input_size
    reader = model.patch_reader((side, side))
    coefficients = quantised(squashed(photo.convert("RGB"), side), quality, halved)
    file = jpeg_file(coefficients)
    expected = model.encode_image(Image.open(io.BytesIO(file)).convert("RGB")).values
    made = {FOLD: fold_of(reader, halved).embedded((coefficients,))}
    made |= {name: embedded_pixels(reader, STEPS[name](coefficients)) for name in steps}
    norms = {name: _norm(reader.tokens(one).values - expected) for name, one in made.items()}
    return {"errors": norms, "norm": _norm(expected), "mean": expected.mean(axis=0).tolist(), "tokens": len(expected)}


def summary(rows: Sequence[Any]) -> list[str]:
    """A line per quality, sampling and step: mean error with its interval, the largest, and the varying one's mean."""
    lines = []
    for quality, halved in sorted({(row["quality"], row["halved"]) for row in rows}, reverse=True):
        chosen = [row for row in rows if (row["quality"], row["halved"]) == (quality, halved)]
        mean = np.mean([row["mean"] for row in chosen], axis=0)
        names = [row["photo"] for row in chosen]
        for step in chosen[0]["errors"]:
            errors = [row["errors"][step] / row["norm"] for row in chosen if step in row["errors"]]
            varying = [row["errors"][step] / _varying(row, mean) for row in chosen if step in row["errors"]]
            interval = clustered_mean_interval(errors, names[: len(errors)])
            mean_error = interval_text(100 * float(np.mean(errors)), _percent(interval))
            lines.append(
                f"quality {quality} {'4:2:0' if halved else '4:4:4'} {step:22} {len(errors)} photos: {mean_error} %, "
                f"largest {100 * max(errors):.2f} %; varying {100 * float(np.mean(varying)):.2f} %"
            )
    return lines


def _varying(row: Any, mean: FloatArray) -> float:
    """Norm of tokens less a mean token, from what a line holds of them."""
    own = np.asarray(row["mean"])
    return float(np.sqrt(row["norm"] ** 2 + row["tokens"] * (mean @ mean - 2 * mean @ own)))


def _percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (100 * interval[0], 100 * interval[1])


def _norm(values: FloatArray) -> float:
    return float(np.linalg.norm(values.astype(np.float64)))


def main() -> None:
    """The command in the module's first lines."""
    parser = argparse.ArgumentParser(description="Errors of the tokens of coefficients.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--vlm", default="", help="checkpoint; the reference model if not given")
    parser.add_argument("--photos", type=int, default=16, help="of each folder")
    parser.add_argument("--qualities", type=int, nargs="+", default=[90, 75, 50, 30])
    parser.add_argument("--sampling", nargs="+", choices=("420", "444"), default=["420", "444"])
    parser.add_argument("--steps", nargs="*", choices=list(STEPS), default=list(STEPS))
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(row["photo"], row["quality"], row["halved"]) for row in rows}
    model = one_frame_model(given.vlm or str(shipped_model_folder()))
    with given.out.open("a") as out:
        for name, photo in photos(given.photos):
            for quality in given.qualities:
                for halved in (sampling == "420" for sampling in given.sampling):
                    if (name, quality, halved) in done:
                        continue
                    found = errors_of(model, photo, quality, halved, given.steps)
                    rows.append({"photo": name, "quality": quality, "halved": halved, **found})
                    out.write(json.dumps(rows[-1]) + "\n")
                    out.flush()
    wanted = {(name, quality) for name, _ in photos(given.photos) for quality in given.qualities}
    print("\n".join(summary([row for row in rows if (row["photo"], row["quality"]) in wanted])))


if __name__ == "__main__":
    main()
