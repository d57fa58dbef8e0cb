"""Processor time of ``klt`` in this build and in the older one: processes of their own, in turn, on the same photos."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from heliograph.bench.bytes.opponents import Opponent
from heliograph.bench.results import Figure
from heliograph.bench.stats import percentile_interval, resampling_weights
from heliograph.types import FloatArray

ROUNDS = 7
PHOTOS = 40
_WARM = 5
_BOUNDS = (1.0, 0.5)

_PROGRAM = """
import json, sys, time
from pathlib import Path
import numpy as np
from heliograph.codec.klt import KltCodec
from heliograph.types import Grid, VisualTokens
folder, tokens, how = Path(sys.argv[1]), np.load(sys.argv[2]), json.loads(sys.argv[3])
codec = KltCodec.load(folder)
grid = Grid(codec.grid.rows, codec.grid.columns)
found = []
for values in tokens:
    photo = VisualTokens(values, grid)
    started = time.process_time()
    encoded = codec.encode(photo, **how)
    made = time.process_time()
    codec.decode(encoded.header, encoded.segments)
    found.append((made - started, time.process_time() - made))
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Build:
    """One side of the comparison.

    Attributes:
        interpreter: and its environment.
        codec_folder: of its ``klt``.
        how: what ``encode`` is asked for.
    """

    interpreter: Opponent
    codec_folder: Path
    how: dict[str, int]


def this_build(codec_folder: Path, how: dict[str, int]) -> Build:
    """The build that runs the suite."""
    here = Path(__file__).resolve().parents[3]
    return Build(Opponent("klt", (sys.executable,), {"PYTHONPATH": str(here)}), codec_folder, how)


def older_build(older: Opponent, how: dict[str, int]) -> Build:
    """The build of an opponent, with the bundle that it ships."""
    interpreter = replace(older, command=older.command[:1])
    program = "from heliograph.reference.assets import shipped_bundle_folder as f; print(f())"
    return Build(interpreter, Path(interpreter.run("-c", program).splitlines()[-1]), how)


def time_figures(ours: Build, theirs: Build, tokens: FloatArray, what: str, *, bounds: bool) -> list[Figure]:
    """The ratio of encoding and decoding a photo, and the milliseconds of both sides.

    Args:
        ours, theirs: timed in turn, :data:`ROUNDS` times each.
        tokens: (I, N, D) of photos, the first few of which only warm up.
        what: of the streams, for the figures' names.
        bounds: whether the ratio has those that the project set itself.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tokens.npy"
        np.save(path, tokens[: PHOTOS + _WARM])
        pairs = [(_median_ms(ours, path), _median_ms(theirs, path)) for _ in range(ROUNDS)]
    ratios = np.array([one / other for one, other in pairs])
    name = f"encode + decode processor time of klt / the older build's, {what}"
    found = Figure(name, float(np.median(ratios)), median_interval(ratios), *(_BOUNDS if bounds else (None, None)))
    return [
        found,
        Figure(f"the same, ms of klt, {what}", median(one for one, _ in pairs)),
        Figure(f"the same, ms of the older build's, {what}", median(other for _, other in pairs)),
    ]


def median_interval(values: FloatArray) -> tuple[float, float] | None:
    """95 % interval of the median of values, by resampling them."""
    drawn = resampling_weights(len(values)).astype(np.int64)
    return percentile_interval(np.array([np.median(np.repeat(values, row)) for row in drawn]))


def _median_ms(build: Build, tokens: Path) -> float:
    """Median milliseconds of encoding and decoding one photo, in a process of its own."""
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    interpreter = replace(build.interpreter, environment={**environment, **build.interpreter.environment})
    printed = interpreter.run("-c", _PROGRAM, str(build.codec_folder), str(tokens), json.dumps(build.how))
    return 1000 * float(np.median(np.asarray(json.loads(printed.splitlines()[-1]))[_WARM:].sum(axis=1)))
