"""Reads ``benchmarks/``: links, tasks and suites are data there, and nothing here holds a number of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from heliograph.errors import DataMissingError
from heliograph.strategies.base import Setting
from heliograph.transport.links import LinkProfile, parse_link


@dataclass(frozen=True)
class Link:
    """A link that times are given for."""

    name: str
    mbit: float
    rtt_ms: float

    @property
    def profile(self) -> LinkProfile:
        """The link's profile for the link model and the shaped connection: this rate up and down."""
        return parse_link(f"{self.mbit:g}mbit,{self.rtt_ms:g}ms")


@dataclass(frozen=True)
class Task:
    """A kind of question: where it comes from, how it is scored, whether it is part of the mean over tasks."""

    name: str
    source: str
    scoring: str
    in_mean: bool


@dataclass(frozen=True)
class ReferencePlan:
    """What a run of the suite ``reference`` or ``smoke`` does.

    Attributes:
        scenes, seed_start: how many scenes, from which seed.
        tuning_scenes, tuning_seed_start: the scenes on which pixel settings are chosen.
        easy_vqa_questions: how many questions of easy-VQA's test split.
        descriptions: whether descriptions of whole scenes are asked for.
        pixel_sizes, pixel_qualities: swept for jpeg, webp and avif, plain and bare.
        fixed_settings: strategies with settings to run as they are, as far as the bundle has their codec.
        swept: strategies to run at each of their own settings.
        timed_questions: sample for the modelled times.
        socket_questions, socket_links: sample for measured times over a real, shaped websocket.
    """

    scenes: int
    seed_start: int
    tuning_scenes: int
    tuning_seed_start: int
    easy_vqa_questions: int
    descriptions: bool
    pixel_sizes: tuple[int, ...]
    pixel_qualities: tuple[int, ...]
    fixed_settings: dict[str, list[Setting]]
    swept: tuple[str, ...]
    timed_questions: int
    socket_questions: int
    socket_links: tuple[str, ...]


@lru_cache(maxsize=1)
def standard_links() -> tuple[Link, ...]:
    """The links of every table, slowest first."""
    return tuple(Link(d["name"], float(d["mbit"]), float(d["rtt_ms"])) for d in _read("links/standard.json")["links"])


@lru_cache(maxsize=1)
def tasks() -> dict[str, Task]:
    """All tasks by name, in the order of the tables."""
    return {d["name"]: Task(**d) for d in _read("tasks/tasks.json")["tasks"]}


def reference_plan(name: str) -> ReferencePlan:
    """The plan of suite ``reference`` or ``smoke``."""
    data: dict[str, Any] = _read(f"suites/{name}.json")
    data.pop("version")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return ReferencePlan(**values)


def read_definition(path: str) -> Any:
    """The JSON of one file of ``benchmarks/``, for suites that have a plan of their own.

    Raises:
        DataMissingError: the folder ``benchmarks`` is not there.
    """
    return _read(path)


def _read(path: str) -> Any:
    """A file of ``benchmarks/``: inside the package where it was installed from a wheel, else in the checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "benchmarks", package.parents[1] / "benchmarks", Path.cwd() / "benchmarks"):
        if (folder / path).is_file():
            return json.loads((folder / path).read_text(encoding="utf-8"))
    raise DataMissingError().noted(
        f"benchmarks/{path} is neither in the package nor in this folder: run it from a checkout."
    )
