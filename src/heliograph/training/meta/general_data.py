"""Photos of any sizes as what the learned codec trains on, for any family: tokens stay on disk, answers are kept.

The codec has one grid of rows and columns, and codes the tiles of a photo one by one. Photos on the grid that most of
them have are trained on; at run time the others are left to the closed-form codec, so here they are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heliograph.codec.header import MAX_TOKENS
from heliograph.errors import CodecNotFittedError
from heliograph.training.export.framing import Size, photo_cache
from heliograph.training.files import refusals_named, replacing
from heliograph.training.fitting.fit_codec import GENERIC_QUESTIONS
from heliograph.training.fitting.token_cache import CachedPhoto, TokenCache
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.general_teacher import GeneralTeacher
from heliograph.training.meta.teacher import OwnAnswer
from heliograph.types import Reporter

MIN_PHOTOS = 8
_ASKED = 500  # photos with answers, the first ones: every answer is a whole generation
_CHUNK = 10


def photo_data(
    teacher: GeneralTeacher,
    photos: Path,
    frames: Sequence[Size] | None,
    most: int,
    tokens_folder: Path,
    cache: Path,
    progress: Reporter,
) -> MetaData:
    """Tokens of the photos on the grid that most of them have, with the model's own answers for the first 500.

    Args:
        teacher: the frozen model.
        photos: folder, zip or list.
        frames: that photos are brought into, see :func:`frames_of`.
        most: photos at most.
        tokens_folder: their cache, which every kind of codec shares.
        cache: folder for answers; what is there is not made again.
        progress: receives a line per stage, and says how many photos were left out.

    Raises:
        DataMissingError: no readable photo.
        CodecNotFittedError: fewer than eight on one grid.
        FileUnreadableError, TokensNotFiniteError, OutputUnwritableError: see :func:`photo_cache`.
    """
    model = teacher.model
    kept = photo_cache(model, photos, most, tokens_folder, progress, frames)
    chosen = on_the_usual_grid(kept.photos[:most], progress)
    if len(chosen) < MIN_PHOTOS:
        raise CodecNotFittedError().noted(
            f"{len(chosen)} photos have the usual grid, and at least {MIN_PHOTOS} are needed."
        )
    grids = tuple(photo.grid for photo in chosen)
    with refusals_named():
        cache.mkdir(parents=True, exist_ok=True)
    tokens = _mapped(kept, chosen, cache)
    data = MetaData(tokens, [[] for _ in chosen], Counter(grids).most_common(1)[0][0], None, grids)
    key = " ".join([kept.model, *GENERIC_QUESTIONS])
    with refusals_named():
        asked = _answers(teacher, data, [photo.sha256 for photo in chosen], key, cache / "answers", progress)
    return MetaData(tokens, asked, data.grid, None, grids)


def on_the_usual_grid(photos: Sequence[CachedPhoto], progress: Reporter) -> list[CachedPhoto]:
    """Photos with the rows and columns that most of them have; of two grids the larger."""
    fitting = [photo for photo in photos if photo.grid.tokens <= MAX_TOKENS]
    counts = Counter((photo.grid.rows, photo.grid.columns) for photo in fitting)
    if not counts:
        return []
    rows, columns = max(counts, key=lambda sides: (counts[sides], sides[0] * sides[1], sides))
    chosen = [photo for photo in fitting if (photo.grid.rows, photo.grid.columns) == (rows, columns)]
    if len(chosen) < len(photos):
        left_out = len(photos) - len(chosen)
        progress(f"{len(chosen)} photos on a grid of {rows} x {columns}; {left_out} on others are left out")
    return chosen


def _mapped(kept: TokenCache, chosen: Sequence[CachedPhoto], cache: Path) -> Tensor:
    """(tiles, N, D) float16 of the chosen photos, mapped from disk: the cache itself where they are all it holds, else
    a copy beside it."""
    values, grid = kept.values(), chosen[0].grid
    shape = sum(photo.grid.tiles for photo in chosen), grid.rows * grid.columns, kept.width
    rows = shape[0] * shape[1]
    first = chosen[0].first_row
    if chosen[-1].first_row + chosen[-1].grid.tokens - first == rows:
        path, offset = Path(str(values.filename)), first * kept.width * values.itemsize
    else:
        path, offset = cache / f"chosen-{_digest([photo.sha256 for photo in chosen])}.f16", 0
        if not path.exists():
            with refusals_named(), replacing(path) as partial, partial.open("wb") as file:
                for photo in chosen:
                    file.write(values[photo.first_row : photo.first_row + photo.grid.tokens].tobytes())
    # copy-on-write, as torch warns of tensors that cannot be written to; nothing writes
    mapped: Any = np.memmap(path, dtype=np.float16, mode="c", offset=offset, shape=shape)
    return torch.from_numpy(mapped)


def _answers(
    teacher: GeneralTeacher, data: MetaData, names: Sequence[str], key: str, cache: Path, progress: Reporter
) -> list[list[OwnAnswer]]:
    """Own answers of the first photos, nothing for the others; chunks on disk are not made again."""
    cache.mkdir(parents=True, exist_ok=True)
    count = min(len(data), _ASKED)
    asked: list[list[OwnAnswer]] = []
    for start in range(0, count, _CHUNK):
        end = min(start + _CHUNK, count)
        path = cache / f"{_digest([key, *names[start:end]])}.json"
        if not path.exists():
            tokens = [data.picture(i) for i in range(start, end)]
            made = teacher.own_answers(tokens, [GENERIC_QUESTIONS] * len(tokens))
            with replacing(path) as partial:
                partial.write_text(json.dumps(made), encoding="utf-8")
            progress(f"{end} of {count} photos answered")
        asked += [[(question, tuple(ids)) for question, ids in photo] for photo in json.loads(path.read_text())]
    return asked + [[] for _ in range(len(data) - count)]


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
