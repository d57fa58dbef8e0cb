"""What a run of the suite ``second-look`` does, read from ``benchmarks/suites/second-look.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.bench.definitions import read_definition


@dataclass(frozen=True)
class Sent:
    """A whole photo as it travels: longest edge in pixels, the picture codec's quality."""

    size: int
    quality: int

    @property
    def label(self) -> str:
        """The setting, printable."""
        return f"size={self.size},quality={self.quality}"


@dataclass(frozen=True)
class TextCrops:
    """Crops around text that the device's detector finds.

    Attributes:
        detector: longest edge in pixels that it looks at.
        crops: at most.
        line_height: pixels that the lowest line of a crop keeps.
        quality: of the picture codec.
    """

    detector: int
    crops: int
    line_height: int
    quality: int

    @property
    def label(self) -> str:
        """The setting, printable."""
        return f"detector={self.detector},crops={self.crops},line={self.line_height},quality={self.quality}"


@dataclass(frozen=True)
class SecondLookPlan:
    """Settings of a run.

    Attributes:
        folder: what was read is kept here, a file a photo.
        picture: strategy by which photos and crops travel.
        first: the first stage.
        whole: opponents without a crop.
        text: crops around text.
        budgets: payload bytes that a photo's crops may take together; without a bound beside them.
        window: side of the windows by contrast and by chance, as a share of the photo's shorter side.
        crop_quality: of crops that no detector found.
    """

    folder: Path
    picture: str
    first: Sent
    whole: tuple[Sent, ...]
    text: tuple[TextCrops, ...]
    budgets: tuple[int, ...]
    window: float
    crop_quality: int


def second_look_plan() -> SecondLookPlan:
    """The plan.

    Raises:
        DataMissingError: the folder ``benchmarks`` is not there.
    """
    data: dict[str, Any] = dict(read_definition("suites/second-look.json"))
    return SecondLookPlan(
        folder=Path(data["folder"]),
        picture=data["picture"],
        first=Sent(**data["first"]),
        whole=tuple(Sent(**one) for one in data["whole"]),
        text=tuple(TextCrops(**one) for one in data["text"]),
        budgets=tuple(data["budgets"]),
        window=float(data["window"]),
        crop_quality=int(data["crop_quality"]),
    )
