"""``heliograph train strategy tokens-1d | side-info | question-coded``: a part for a frozen model, from scenes alone.

::

    scenes --frozen tower--> tokens, own answers --OrderedRun--> networks --round, trace, count--> folder of the part

A run that was stopped goes on from the folder ``run`` of the part's own folder, which is no part of the part.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.codec.bundle import Bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.codec.parts import Part, write_card
from heliograph.errors import CodecMissingError, ModelUnsupportedError
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.files import refusals_named
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.network import Coder, TokenSpace
from heliograph.training.meta.start import token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.training.meta.train import SEEDS_START
from heliograph.training.ordered.answering import Classroom
from heliograph.training.ordered.data import ASKED, PICTURES, scene_data
from heliograph.training.ordered.export import export_adapter, export_registers, export_side
from heliograph.training.ordered.loop import Lesson, OrderedRun
from heliograph.training.ordered.network import RegisterCoder, RegisterSizes
from heliograph.training.ordered.questions import QuestionAdapter, SideDecoder
from heliograph.training.ordered.start import start_greedily
from heliograph.training.ordered.tokens_1d import RegisterLesson
from heliograph.training.ordered.trained_meta import trained_meta
from heliograph.training.ordered.with_questions import AdapterLesson, LogisticRate, SideLesson
from heliograph.types import Reporter
from heliograph.vlm.opening import open_model

RATES = (1e-3, 4e-4)
QUESTION_RATES = (7e-4, 7e-4)
_MAX_FEATURES = 96
_RATE_PICTURES, _CHUNK = 4096, 256


@dataclass(frozen=True)
class _Task:
    """What is trained: the lesson, how it is written, and what a run that goes on must share."""

    lesson: Lesson
    write: Callable[[Path], tuple[list[str], dict[str, Any]]]
    facts: dict[str, Any]
    rates: tuple[float, float]


def train_tokens_1d(name: str, out: Path, **how: Any) -> Part:
    """Registers, codebooks and decoder; arguments and errors as :func:`train_part`."""
    return train_part(name, out, _register_task, **how)


def train_side_info(name: str, out: Path, **how: Any) -> Part:
    """What restores by the question; arguments and errors as :func:`train_part`."""
    return train_part(name, out, _side_task, **how)


def train_question_coded(name: str, out: Path, **how: Any) -> Part:
    """What prepares tokens for the question; arguments and errors as :func:`train_part`."""
    return train_part(name, out, _adapter_task, **how)


def train_part(
    name: str,
    out: Path,
    make_task: Callable[..., _Task],
    *,
    model: str = "reference",
    bundle: Path | None = None,
    minutes: float = 15.0,
    seed: int = 0,
    pictures: int = PICTURES,
    asked: int = ASKED,
    sizes: dict[str, int] | None = None,
    progress: Reporter = print,
) -> Part:
    """Train one of the ordered strategies' parts and write it into ``out``.

    Args:
        name: of the strategy.
        out: folder of the part; data and checkpoint are kept in its folder ``run``.
        make_task: what is learned, given teacher, data, bundle, sizes, folder and seed.
        model: ``reference``, a folder or a hub id, of the reference's family.
        bundle: of that model, with the codec that the strategy stands on; None takes the shipped one.
        minutes: of optimisation, earlier calls included.
        seed: of weights and batches, and of the first scene.
        pictures, asked: scenes, and how many of them are asked about.
        sizes: what differs from the defaults of ``tokens-1d``'s networks.
        progress: receives a line per stage and at every report.

    Raises:
        ModelUnsupportedError: a model that cannot be taught with.
        CodecMissingError: the bundle has no ``klt``, or for the other two no ``meta``.
        UsageError: the checkpoint in ``out`` is of another run, or the scenes would leave the training split.
        OutputUnwritableError: the disk refuses.
    """
    opened = open_model(model)
    if opened.input_size is None:
        raise ModelUnsupportedError().noted("scenes are drawn for models with one input size.")
    teacher, held = Teacher(opened), Bundle.load(bundle or shipped_bundle_folder())
    with refusals_named():
        data = scene_data(teacher, out / "run" / "data", progress, pictures=pictures, asked=asked, seed=seed)
        torch.manual_seed(seed)
        task = make_task(teacher, data, held, sizes or {}, out / "run", seed)
        run = OrderedRun(
            task.lesson, out / "run", {"name": name, **task.facts}, rates=task.rates, seed=seed, progress=progress
        )
        run.run(minutes)
        files, figures = task.write(out)
        facts = {
            "strategy": name,
            "seed": seed,
            "data": f"{pictures} scenes from seed {SEEDS_START + seed}, {asked} of them with questions",
            "minutes": round(run.state.seconds / 60, 1),
            "steps": run.state.step,
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
            "sizes": task.facts,
            "figures": figures,
            "history": run.state.history,
        }
        return write_card(out, files, facts, held.model)


def _register_task(
    teacher: Teacher, data: MetaData, held: Bundle, sizes: dict[str, int], folder: Path, seed: int
) -> _Task:
    codec = held.codec("klt")
    assert isinstance(codec, KltCodec)
    space = token_space(codec, data.tokens, _MAX_FEATURES)
    room = Classroom(teacher, data, space)
    shape = RegisterSizes(data.grid.rows, data.grid.columns, int(space.analysis.shape[1]), **sizes)
    coder = RegisterCoder(shape)
    if not (folder / "checkpoint.pt").exists():
        start_greedily(coder, room.all_features(), seed)
    lesson = RegisterLesson(coder, room)
    return _Task(lesson, lambda out: export_registers(coder, room, out), asdict(shape), RATES)


def _side_task(teacher: Teacher, data: MetaData, held: Bundle, sizes: dict[str, int], folder: Path, seed: int) -> _Task:
    space, coder = _learned(held)
    room = Classroom(teacher, data, space)
    side = SideDecoder(coder.encoder.sizes.tokens, coder.encoder.sizes.features)
    lesson = SideLesson(side, coder, room)
    return _Task(lesson, lambda out: export_side(side, room, out), {}, QUESTION_RATES)


def _adapter_task(
    teacher: Teacher, data: MetaData, held: Bundle, sizes: dict[str, int], folder: Path, seed: int
) -> _Task:
    space, coder = _learned(held)
    room = Classroom(teacher, data, space)
    adapter = QuestionAdapter(coder.encoder.sizes.tokens, coder.encoder.sizes.features)
    lesson = AdapterLesson(adapter, coder, room, LogisticRate(_integers(coder, room)))
    return _Task(lesson, lambda out: export_adapter(adapter, room, out), {}, QUESTION_RATES)


def _learned(held: Bundle) -> tuple[TokenSpace, Coder]:
    codec = held.codec("meta")
    if not isinstance(codec, MetaCodec):
        raise CodecMissingError
    return trained_meta(held.folder, codec)


@torch.no_grad()
def _integers(coder: Coder, room: Classroom) -> torch.Tensor:
    """(I, K, c) of training pictures."""
    count = min(_RATE_PICTURES, len(room.train.tokens))
    rows = np.array_split(np.arange(count), max(1, count // _CHUNK))
    return torch.cat([coder.encoder(room.features(one)).round() for one in rows])
