"""What a run of the suite ``region`` does, read from ``benchmarks/suites/region.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heliograph.bench.definitions import read_definition


@dataclass(frozen=True)
class RegionPlan:
    """Sizes of a run.

    Attributes:
        scenes, seed_start: test scenes.
        look_scenes, look_seed_start: dev scenes whose small print layer, heads and windows are chosen on.
        tuning_scenes, tuning_seed_start: dev scenes for the policies' thresholds.
        crop_plates: of those, on which the encoding of crops is chosen.
        strategy, first_bytes: the first stage.
        least_share: side of a box at least, as a share of the photo's.
        crops: encodings of a crop, settings by strategy.
        crop_slack: an encoding is good enough within this accuracy of the best one; the one of fewest bytes is taken.
        shown_photos: in the picture.
    """

    scenes: int
    seed_start: int
    look_scenes: int
    look_seed_start: int
    tuning_scenes: int
    tuning_seed_start: int
    crop_plates: int
    strategy: str
    first_bytes: int
    least_share: float
    crops: dict[str, tuple[str, ...]]
    crop_slack: float
    shown_photos: int


def region_plan() -> RegionPlan:
    """The plan.

    Raises:
        DataMissingError: the folder ``benchmarks`` is not there.
    """
    data: dict[str, Any] = read_definition("suites/region.json")
    data.pop("version")
    crops = {name: tuple(settings) for name, settings in data.pop("crops").items()}
    return RegionPlan(**data, crops=crops)
