"""What progressiveness costs: autoencoders for one rate each, beside the progressive one at the same rates.

``python -m heliograph.training.meta.fixed_rates RUN OUT --minutes M``

Each begins as the progressive network and goes on training for one prefix length alone, so that it has seen everything
that the progressive one has and then its own rate: the hardest opponent of its size. Both are cut and answered on the
same held-out pictures; the figure is the progressive stream's bytes at the fixed one's agreement, over the fixed one's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from heliograph.training.meta.loop import MetaRecipe, MetaRun

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the latents: the four rates."""

_CURVE_POINTS = 14
_RATE = 3e-4  # of AdamW: the networks are trained already


@dataclass(frozen=True)
class FixedRate:
    """One rate.

    Attributes:
        latents: kept by the autoencoder for this rate.
        bytes, agreement: its mean stream, and its agreement with the uncompressed answers.
        progressive_bytes: what the progressive stream needs for the same agreement; None where it never has it.
        ratio: of the two.
    """

    latents: int
    bytes: float
    agreement: float
    progressive_bytes: float | None
    ratio: float | None


def compare(start: MetaRun, out: Path, minutes: float, shares: Sequence[float] = SHARES) -> list[FixedRate]:
    """Train an autoencoder for each rate and compare.

    Args:
        start: the progressive run, trained.
        out: folder; each rate keeps its checkpoint in a folder of its own.
        minutes: for each.
        shares: of the latents, one per rate.
    """
    latents = start.sizes.latents
    counts = sorted({max(1, round(share * latents)) for share in shares})
    marks = sorted({max(1, round(latents * (k + 1) / _CURVE_POINTS)) for k in range(_CURVE_POINTS)} | set(counts))
    curve = [start.at_latents(mark) for mark in marks]
    found = []
    for count in counts:
        recipe = replace(MetaRecipe(), only_latents=count, peak_rate=_RATE)
        run = start.branch(recipe, out / f"{count}-latents")
        run.run(minutes)
        size, agreement = run.at_latents(count)
        needed = bytes_at(curve, agreement)
        found.append(FixedRate(count, size, agreement, needed, None if needed is None else needed / size))
        start.progress(json.dumps(asdict(found[-1])))
    text = {"progressive": curve, "fixed": [asdict(one) for one in found], "minutes": minutes}
    (out / "fixed_rates.json").write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    return found


def bytes_at(curve: Sequence[tuple[float, float]], agreement: float) -> float | None:
    """Fewest bytes at which a curve of (bytes, agreement), made never to fall, reaches an agreement."""
    sizes = np.asarray([size for size, _ in curve])
    best = np.maximum.accumulate([value for _, value in curve])
    if agreement > best[-1]:
        return None
    after = int(np.searchsorted(best, agreement))
    if after == 0 or best[after] == best[after - 1]:
        return float(sizes[after])
    share = (agreement - best[after - 1]) / (best[after] - best[after - 1])
    return float(sizes[after - 1] + share * (sizes[after] - sizes[after - 1]))


def main() -> None:
    """See the module."""
    from heliograph.training.meta.train import open_run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="codec folder of train codec --kind meta")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="reference")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each of the four rates")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    run, _ = open_run(arguments.model, arguments.run)
    compare(run, arguments.out, arguments.minutes)


if __name__ == "__main__":
    main()
