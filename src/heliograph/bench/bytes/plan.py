"""What a run of the suite ``bytes`` does, from ``benchmarks/suites/bytes.json``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from heliograph.bench.definitions import read_definition
from heliograph.bench.tasks import Item, scene_items


@dataclass(frozen=True)
class BytesPlan:
    """See the module.

    Attributes:
        splits: (first seed, scenes) of each set of scenes; figures are over all of them together.
        tuning_scenes, tuning_seed_start: the scenes on which settings of pixel codecs are chosen.
        levels: at which ``klt`` ends, finest last, in eighth octaves of its finest step.
        latents: how many leading latents of ``meta`` are sent.
        older_budgets: payload bytes at which the older build's ``klt`` is cut.
        pixel_sizes, pixel_qualities: swept on tuning scenes for every bare pixel codec.
        photo_budgets: payload bytes at which the older build's ``klt`` is cut on real photos.
    """

    splits: tuple[tuple[int, int], ...]
    tuning_scenes: int
    tuning_seed_start: int
    levels: tuple[int, ...]
    latents: tuple[int, ...]
    older_budgets: tuple[int, ...]
    pixel_sizes: tuple[int, ...]
    pixel_qualities: tuple[int, ...]
    photo_budgets: tuple[int, ...]

    @classmethod
    def load(cls, seed_start: int | None = None) -> BytesPlan:
        """The plan, with ``seed_start`` in place of the first split's and without the others where it is given.

        Raises:
            DataMissingError: the folder ``benchmarks`` is not there.
        """
        data: dict[str, Any] = dict(read_definition("suites/bytes.json"))
        data.pop("version")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        values["splits"] = tuple((int(seed), int(scenes)) for seed, scenes in data["splits"])
        plan = cls(**values)
        return plan if seed_start is None else replace(plan, splits=((seed_start, plan.splits[0][1]),))

    def items(self, limit: int | None) -> Iterator[Item]:
        """The scenes of all splits with their short questions, until ``limit`` questions are asked."""
        asked = 0
        for seed_start, scenes in self.splits:
            left = None if limit is None else limit - asked
            for item in scene_items(seed_start, scenes, descriptions=False, limit=left):
                asked += len(item.records)
                yield item

    @property
    def scenes(self) -> int:
        """How many scenes all splits have."""
        return sum(scenes for _, scenes in self.splits)
