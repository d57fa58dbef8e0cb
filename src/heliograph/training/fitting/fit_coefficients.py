"""Fits the frozen tables of ``jpeg-dct``: what coefficients around a coefficient tell of it.

``python -m heliograph.training.fitting.fit_coefficients OUT.json PHOTOS ...`` reads folders of photos, adds generated
scenes and writes the tables. For every class of cells it looks for weights of the amplitudes around a cell, by the
likelihood of what was coded there, then counts how often each rung was a one. Weights change what comes on which rung,
so both are done twice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from heliograph.codec.range_coder import COST_UNIT, MAX_COST
from heliograph.reference.render import render_scene
from heliograph.strategies.compressed_domain.coefficients import COMPONENTS, Coefficients, quantised
from heliograph.strategies.compressed_domain.contexts import PLANES, SHAPES, Tables, class_of, rungs_of
from heliograph.strategies.compressed_domain.fields import Means, Whole
from heliograph.strategies.compressed_domain.scan import Scan, truth
from heliograph.training.fitting.photo_sources import photo_files, readable_photo
from heliograph.types import Reporter

_SIDES = (128, 384, 128, 192, 128, 256, 128)
_QUALITIES = (15, 30, 45, 60, 75, 85, 92, 96)
_SCENE_SEED = 7_000_000
_ROUNDS = 2
_ROWS_PER_PASS = 300
_STEPS, _BATCH, _RATE = 400, 8192, 0.05
_PRIOR = 24.0  # counts of the class as a whole that each of its tables begins with
_WEIGHT_UNIT = 1 << 12

Place = tuple[int, int]


@dataclass
class _Seen:
    """What was coded, by field (0 means, 1 blocks) and class."""

    counts: tuple[np.ndarray, np.ndarray]
    refinements: np.ndarray
    rows: dict[tuple[int, Place], list[np.ndarray]]


def fit_coefficients(pictures: Sequence[Coefficients], progress: Reporter) -> Tables:
    """Tables for coefficients like these.

    Args:
        pictures: of many kinds, sizes and qualities.
        progress: receives a line at each stage.
    """
    tables = first_tables()
    for turn in range(_ROUNDS):
        progress(f"weights, round {turn + 1} of {_ROUNDS}")
        tables = _weighted(tables, _looked_at(pictures, tables, seed=turn))
    progress("costs")
    return _counted(tables, _looked_at(pictures, tables, seed=_ROUNDS))


def first_tables() -> Tables:
    """Tables that know nothing: even weights, and every zero costs what a tenth of ones makes it cost."""
    zero = _cost(np.array(0.1))
    values = {name: np.full(shape, zero, np.int64) for name, shape in SHAPES.items()}
    values["block_weights"][:] = _WEIGHT_UNIT // 10
    values["mean_weights"][:] = _WEIGHT_UNIT // 10
    return Tables(**values)


def _looked_at(pictures: Sequence[Coefficients], tables: Tables, seed: int) -> _Seen:
    random = np.random.default_rng(seed)
    shapes = SHAPES["mean_costs"], SHAPES["block_costs"]
    seen = _Seen((np.zeros((*shapes[0], 2)), np.zeros((*shapes[1], 2))), np.zeros((*SHAPES["refinement_costs"], 2)), {})
    for picture in pictures:
        _look(picture, tables, seen, random)
    return seen


def _look(picture: Coefficients, tables: Tables, seen: _Seen, random: np.random.Generator) -> None:
    """Code one picture, and note what is coded where."""
    scan = Scan([picture.shape], picture.quality)
    values = [truth(picture, component) for component in range(COMPONENTS)]
    begun = False
    for one in scan.passes():
        field = scan.field(one)
        cells = field.cells(one.band, one.part)
        magnitudes = np.abs(values[one.component][one.field][cells])
        begun = begun or bool((magnitudes >> one.plane).any())
        if not begun:
            continue
        bits = magnitudes >> one.plane & 1
        around = field.seen(one.band, one.part, scan.others(one))
        fresh = field.known[cells] == 0
        place, plane = class_of(field, one), min(one.plane, PLANES - 1)
        rungs = rungs_of(field, one, around, cells, tables)
        table = seen.counts[one.field][place]
        table = table[plane] if isinstance(field, Means) else table[one.part, plane]
        np.add.at(table, (rungs[fresh], bits[fresh]), 1)
        since = (field.known[cells] == 2 << one.plane).astype(int)
        np.add.at(seen.refinements, (since[~fresh], plane, bits[~fresh]), 1)
        some = random.permutation(np.flatnonzero(fresh))[:_ROWS_PER_PASS]
        threshold = field.steps(cells[some]) << one.plane + 1
        row = np.concatenate([around[:, some], threshold[None], bits[None, some]]).astype(np.float32)
        seen.rows.setdefault((one.field, place), []).append(row)
        field.plane[cells] = one.plane
        field.known[cells] += bits << one.plane
        field.refresh(cells)


def _weighted(tables: Tables, seen: _Seen) -> Tables:
    weights = {0: tables.mean_weights.copy(), 1: tables.block_weights.copy()}
    for (field, place), rows in sorted(seen.rows.items()):
        found = _likeliest(np.concatenate(rows, axis=1))
        weights[field][place] = np.rint(found * _WEIGHT_UNIT)
    return replace(tables, mean_weights=weights[0], block_weights=weights[1])


def _likeliest(rows: np.ndarray) -> np.ndarray:
    """(features,) weights, none negative, with which log(expected / threshold) best tells ones from zeros."""
    around, threshold, bits = (torch.from_numpy(part) for part in (rows[:-2].T, rows[-2], rows[-1]))
    size = around.mean(dim=0)  # (features,)
    used = size > 0
    scaled = around[:, used] / size[used]
    torch.manual_seed(0)
    logs = torch.full((int(used.sum()),), float(torch.log(threshold.mean() / used.sum() / 4)), requires_grad=True)
    line = torch.tensor([0.0, 1.5], requires_grad=True)
    optimiser = torch.optim.Adam([logs, line], lr=_RATE)
    for _ in range(_STEPS):
        chosen = torch.randint(len(bits), (_BATCH,))
        expected = scaled[chosen] @ logs.exp() + 1e-3
        logits = line[0] + line[1] * torch.log(expected / threshold[chosen])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, bits[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    weights = torch.zeros(len(size))
    # On the scale where an expected amplitude of one threshold is as often a one as not.
    weights[used] = logs.exp().detach() / size[used] * float(torch.exp(line.detach()[0] / line.detach()[1]))
    return np.asarray(weights.numpy(), dtype=np.float64)


def _counted(tables: Tables, seen: _Seen) -> Tables:
    means, blocks = (_costs(counts) for counts in seen.counts)
    refinements = _cost((seen.refinements[..., 1] + 1) / (seen.refinements.sum(axis=-1) + 2))
    return replace(tables, mean_costs=means, block_costs=blocks, refinement_costs=refinements)


def _costs(counts: np.ndarray) -> Whole:
    """Costs by shares of ones; where little was seen, shares of the same rung in all classes."""
    rungs = counts.shape[-2]
    every = counts.reshape(-1, rungs, 2).sum(axis=0)  # (rungs, 2)
    usual = (every[:, 1] + 0.5) / (every.sum(axis=1) + 1)
    return _cost((counts[..., 1] + _PRIOR * usual) / (counts.sum(axis=-1) + _PRIOR))


def _cost(share: np.ndarray) -> Whole:
    """What a zero costs where so large a share are ones."""
    return np.asarray(np.clip(np.rint(-np.log2(1 - share) * COST_UNIT), 1, MAX_COST), dtype=np.int64)


def _pictures(sources: Sequence[Path], most: int) -> Iterator[Coefficients]:
    """Photos and scenes in turn, every size and quality, every fourth with its chroma in full."""
    files = chain.from_iterable(islice(photo_files(source), most // len(sources)) for source in sources)
    photos = [photo for photo in (readable_photo(content) for _, content in files) if photo is not None]
    scenes = [render_scene(_SCENE_SEED + n).image for n in range(len(photos) // 4)]
    for place, photo in enumerate([*photos, *scenes]):
        side = _SIDES[place % len(_SIDES)]
        picture = photo.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        yield quantised(picture, _QUALITIES[place * 5 % len(_QUALITIES)], halved=place % 7 > 1)


def main() -> None:
    """The command in the module's first lines."""
    parser = argparse.ArgumentParser(description="Fits the frozen tables of jpeg-dct.")
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+", help="folders, archives or lists of photos")
    parser.add_argument("--most", type=int, default=400, help="photos in all")
    given = parser.parse_args()
    tables = fit_coefficients(list(_pictures(given.photos, given.most)), print)
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in tables.to_json().items()]
    given.out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
