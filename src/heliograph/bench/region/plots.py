"""Pictures of suite ``region``: photos with attention, box and crop drawn in; and what each policy's bytes buy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from heliograph.bench.plots import new_figure, save
from heliograph.bench.region.policies import Played, Questions
from heliograph.bench.region.trials import SMALL_PRINT, Trial
from heliograph.boxes import PixelBox

_BOX, _REGION = "#0072B2", "#D55E00"
_STYLES: dict[str, tuple[str, str]] = {
    "never": ("#7F7F7F", "s"),
    "always": ("#D55E00", "D"),
    "random-box": ("#56B4E9", "v"),
    "random": ("#E69F00", "^"),
    "threshold": ("#009E73", "P"),
    "calibrated": ("#5B2C8F", "o"),
    "latent": ("#CC79A7", "X"),
}
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
    figure, panels = new_figure(rows=2, columns=len(shown))
    figure.set_size_inches(2.9 * len(shown), 6.6)
    for column, one in enumerate(shown):
        _draw_photo(panels[column], one)
        _draw_crop(panels[len(shown) + column], one)
    figure.suptitle(
        "Lit: where the model looks. Blue: the box it finds and, below, the crop of it. Orange: the plate asked for.",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    save(figure, path)


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


def draw_policies(questions: Questions, plays: Sequence[Played], path: Path) -> None:
    """Small-print accuracy, and accuracy over all questions, against second-stage bytes a question."""
    figure, panels = new_figure(rows=1, columns=2)
    for axes, task, title in zip(panels, (SMALL_PRINT, None), ("small-print questions", "all questions"), strict=True):
        for played in plays:
            colour, marker = _STYLES[played.name]
            x, y = questions.mean(played.second_bytes)[0], 100 * questions.mean(played.right, task)[0]
            label = played.name if not played.setting or played.name != "latent" else f"latent, {played.setting}"
            axes.scatter([x], [y], color=colour, marker=marker, s=52, label=label, zorder=3)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("second-stage payload, mean bytes a question")
        axes.set_ylabel("accuracy (%)")
        axes.grid(True, color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    panels[0].legend(fontsize=8, frameon=False, loc="center right")
    save(figure, path)
