"""What a run of the suite ``street`` does, from ``benchmarks/suites/street.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from heliograph.bench.definitions import read_definition
from heliograph.strategies.base import Setting


@dataclass(frozen=True)
class StreetPlan:
    """See the module.

    Attributes:
        captioned_photos, plain_photos: test photos of either kind at most.
        sentence_photos: captioned ones of which sentences are judged too.
        tuning_photos: others, on which settings are chosen.
        settings: of each codec, on test photos.
        levels: at which ``klt`` may end, finest last.
        latents: how many leading latents of ``meta`` may be sent.
        pixel_sizes, pixel_qualities: swept for every pixel codec.
        fixed: strategies of tokens that are run as they are, by name, each with its settings.
    """

    captioned_photos: int
    plain_photos: int
    sentence_photos: int
    tuning_photos: int
    settings: int
    levels: tuple[int, ...]
    latents: tuple[int, ...]
    pixel_sizes: tuple[int, ...]
    pixel_qualities: tuple[int, ...]
    fixed: dict[str, list[Setting]]

    @classmethod
    def load(cls) -> StreetPlan:
        """The plan.

        Raises:
            DataMissingError: the folder ``benchmarks`` is not there.
        """
        data: dict[str, Any] = dict(read_definition("suites/street.json"))
        data.pop("version")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)
