"""Pictures of suite ``region``: photos with attention, box and crop drawn in; and what each policy's bytes buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.labels import label_series
from heliograph.bench.metrics import ALL
from heliograph.bench.results import Row, SuiteResult
from heliograph.bench.style import GREY, OTHER, OURS, SECOND, picture
from heliograph.boxes import PixelBox

if TYPE_CHECKING:
    from heliograph.bench.region.trials import Trial

SMALL_PRINT_TASK = "small-print"
_BOX, _REGION = SECOND, OTHER
_DARKEST = 0.62  # of what is not looked at


@dataclass(frozen=True)
class ShownPhoto:
    """One example.

    Attributes:
        photo: RGB.
        relative: (rows, columns) map that the box was found in.
        trial: its small-print question.
    """

    photo: Image.Image
    relative: npt.NDArray[np.float64]
    trial: Trial


def draw_photos(shown: Sequence[ShownPhoto], path: Path) -> None:
    """A column a photo: above, the photo lit where the model looks, found box and plate drawn in; below, the crop."""
    message = "Where the model looks, and what the crop of it shows"
    facts = (
        "generated scenes; lit: where the model looks; blue: the box it finds and, below, the crop of it; "
        "orange: the small sign asked for"
    )
    with picture(path, message, facts, rows=2, columns=len(shown), size=(2.9 * len(shown), 6.6)) as panels:
        for column, one in enumerate(shown):
            _draw_photo(panels[column], one)
            _draw_crop(panels[len(shown) + column], one)


def _draw_photo(axes: Any, one: ShownPhoto) -> None:
    width, height = one.photo.size
    light = np.asarray(
        Image.fromarray(np.float32(one.relative / one.relative.max())).resize((width, height), Image.Resampling.BICUBIC)
    )
    shade = _DARKEST * (1 - np.clip(np.sqrt(np.clip(light, 0, 1)), 0, 1))
    axes.imshow(np.asarray(one.photo.convert("RGB")))
    axes.imshow(np.zeros((height, width)), cmap="gray", alpha=shade, vmin=0, vmax=1)
    _outline(axes, one.trial.found.box, _BOX, 2.2)
    if one.trial.record.box is not None:
        _outline(axes, one.trial.record.box, _REGION, 1.4)
    _bare(axes, one.trial.record.question)


def _draw_crop(axes: Any, one: ShownPhoto) -> None:
    trial = one.trial
    axes.imshow(np.asarray(one.photo.convert("RGB").crop(trial.found.box)))
    for side in axes.spines.values():
        side.set_color(_BOX)
        side.set_linewidth(2.2)
    axes.set_xticks([])
    axes.set_yticks([])
    first, second = trial.first, trial.looked
    marks = ["right" if answer.right else "wrong" for answer in (first, second)]
    axes.set_xlabel(
        f"first  {first.answer.text}  {first.answer.confidence:.2f}  {marks[0]}\n"
        f"then  {second.answer.text}  {second.answer.confidence:.2f}  {marks[1]}\n"
        f"{first.payload_bytes} + {second.payload_bytes} bytes",
        fontsize=9,
    )


def _outline(axes: Any, box: PixelBox, colour: str, width: float) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=colour, linewidth=width))


def _bare(axes: Any, title: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    for side in axes.spines.values():
        side.set_visible(False)


POLICIES_TABLE = "Policies"
_SHOWN = {
    "never": ("never", GREY, "s"),
    "random-box": ("a box at random", "#56B4E9", "v"),
    "random": ("at random", "#E69F00", "^"),
    "latent": ("finer tokens, no crop", "#CC79A7", "X"),
    "always": ("always", OTHER, "D"),
    "calibrated": ("where the first answer is doubtful", OURS, "o"),
}
_PANELS = ((SMALL_PRINT_TASK, "small-print questions"), (ALL, "all questions"))


def plot_policies(result: SuiteResult, path: Path) -> bool:
    """Accuracy against second-stage bytes a question, on small print and on everything; drawn from the suite's JSON."""
    table = result.table(POLICIES_TABLE)
    column = table.head.index("second-stage bytes")
    second = {(row[0], row[1]): float(row[column].replace(",", "")) for row in table.body}
    rows = {(row.strategy, row.setting, row.task): row for row in result.rows}
    if ("always", "default") not in second or not any(name == "calibrated" for name, _ in second):
        return False
    ours = next(value for (name, _), value in second.items() if name == "calibrated")
    share = 100 * ours / second["always", "default"]
    read = {name: 100 * (row.accuracy or 0) for (name, _, task), row in rows.items() if task == SMALL_PRINT_TASK}
    message = (
        f"A second look where the first answer is doubtful: {share:.0f} % of the bytes of always looking, "
        f"{read['calibrated']:.0f} % against {read['always']:.0f} % of small print read"
    )
    counts = {row.task: row.questions for row in result.rows}
    left_out = ", ".join(f"{name} ({setting})" for name, setting in second if name not in _SHOWN)
    facts = f"generated scenes; bars: 95 % intervals; in the table alone: {left_out or 'none'}"
    with picture(path, message, facts, columns=2, size=(11.2, 3.6)) as panels:
        for axes, (task, title) in zip(panels, _PANELS, strict=True):
            _draw_policies(axes, second, rows, task)
            axes.set_title(f"{title} (n = {counts.get(task, 0):,})")
    return True


def _draw_policies(
    axes: Any, second: Mapping[tuple[str, str], float], rows: Mapping[tuple[str, str, str], Row], task: str
) -> None:
    curves: dict[str, list[tuple[float, float]]] = {}
    for (name, setting), x in second.items():
        row = rows.get((name, setting, task))
        if name not in _SHOWN or row is None or row.accuracy is None:
            continue
        _, colour, marker = _SHOWN[name]
        low, high = (100 * bound for bound in row.accuracy_ci or (row.accuracy, row.accuracy))
        axes.vlines(x, low, high, color=colour, linewidth=1.2, zorder=2)
        axes.scatter([x], [100 * row.accuracy], color=colour, marker=marker, s=46, zorder=3)
        curves.setdefault(name, []).extend([(x, low), (x, 100 * row.accuracy), (x, high)])
    axes.set_xlabel("payload of the second look, mean per question (bytes)")
    axes.set_ylabel("accuracy (%)")
    axes.margins(x=0.12, y=0.16)
    axes.autoscale_view()
    names, colours = ({name: one[part] for name, one in _SHOWN.items()} for part in (0, 1))
    label_series(axes, curves, names, colours)


PICTURES = {"policies.png": plot_policies}
