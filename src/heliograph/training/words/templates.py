"""Counts what knowledge base 1 knows of the reference's descriptions: which place follows which, how many are signs.

``python -m heliograph.training.words.templates`` prints ``places.next`` and the templates' weights as they stand in
``strategies/semantic/templates-1.json``. Other counts would be another version.
"""

from __future__ import annotations

import json

import numpy as np

from heliograph.reference.questions import describe
from heliograph.reference.scenes import COLUMN_WORDS, ROW_WORDS, plan_scene

SCENES = 20_000
_OF = 1000
_SIGN = " sign "


def counted(scenes: int) -> tuple[list[list[int]], list[int]]:
    """How many of 1,000 go from each of nine places, and from the beginning, to each place and the end; and how many
    are things and signs."""
    places = [f"{row} {column}" for row in ROW_WORDS for column in COLUMN_WORDS]
    following, kinds = np.ones((10, 10)), np.zeros(2)
    for seed in range(scenes):
        place = 9
        for thing in describe(plan_scene(seed)).removesuffix(".").split(", "):
            found = places.index(" ".join(thing.split()[-2:]))
            following[place, found] += 1
            kinds[int(_SIGN in thing)] += 1
            place = found
        following[place, 9] += 1
    shares = np.maximum(1, np.rint(following / following.sum(axis=1, keepdims=True) * _OF))
    return shares.astype(int).tolist(), np.rint(kinds / kinds.sum() * _OF).astype(int).tolist()


def main() -> None:
    """See the module."""
    following, weights = counted(SCENES)
    print("\n".join(json.dumps(row) for row in following))
    print(f"weights {weights}")


if __name__ == "__main__":
    main()
