"""Direct labels: each series' name in its colour beside one of its own points, where it is clearest of the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from math import hypot
from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.bench.style import look, plain

_LETTER_INCHES, _LINE_INCHES = 0.083, 0.15  # of a label at its font size
_FONT_SIZE = 9
_DISTANCES = (0.03, 0.06, 0.1, 0.15, 0.22, 0.3)  # of a label from its point
_MAX_POINTS = 16  # of a series that are tried
_DIRECTIONS = ((1, 0), (-1, 0), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7), (0, 1), (0, -1))

Array = npt.NDArray[np.float64]
Candidate = tuple[float, float, float, float]
Point = tuple[float, float]
Spot = tuple[float, float]
"""A place in shares of the axes, from the lower left."""


def label_series(
    axes: Any,
    curves: Mapping[str, Sequence[Point]],
    names: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
) -> None:
    """Name every series on the panel, whose limits and size must be final.

    A thin line ties a name to its point, so that crowded curves stay told apart.

    Args:
        axes: panel.
        curves: points in data, by series.
        names: what is written for a series where it is not its own name.
        colours: by series; None takes the style sheet's.
    """
    figure = axes.get_figure()
    figure.draw_without_rendering()  # the layout is made while drawing: only now is the panel's size known
    size = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    letter, line = _LETTER_INCHES / float(size.width), _LINE_INCHES / float(size.height)
    on_axes = _to_shares(axes)
    spots = {series: [on_axes(point) for point in points] for series, points in curves.items()}
    ink = {series: _along(points) for series, points in spots.items()}
    taken = _written(axes)
    for series in sorted(curves, key=lambda name: len(curves[name])):
        text = (names or {}).get(series, series)
        width = letter * len(text)
        others = [spot for name, drawn in ink.items() if name != series for spot in drawn] + taken
        candidates = (
            (px + dx * (distance + width / 2), py + dy * (distance + line / 2), px, py)
            for px, py in spots[series][:: -(-len(spots[series]) // _MAX_POINTS)]
            for distance in _DISTANCES
            for dx, dy in _DIRECTIONS
        )
        clear, all_ink = np.asarray(others).reshape(-1, 2), np.asarray(others + ink[series])
        x, y, px, py = max(candidates, key=partial(_merit, width=width, line=line, others=clear, ink=all_ink))
        colour = (colours or {}).get(series) or look(series)[0]
        style = {"color": colour, "fontsize": _FONT_SIZE, "ha": "center", "va": "center", "zorder": 5}
        axes.text(x, y, plain(text), transform=axes.transAxes, **style)
        end = min(max(px, x - width / 2), x + width / 2)  # the nearest end of the name
        tie = [py, y - line / 2 * ((y > py) - (y < py))]
        axes.plot([px, end], tie, color=colour, linewidth=0.6, transform=axes.transAxes)
        taken += _along([(x - width / 2, y), (x + width / 2, y)]) + _along([(px, py), (end, y)])


def _to_shares(axes: Any) -> Callable[[Point], Spot]:
    transform = axes.transData + axes.transAxes.inverted()

    def on_axes(point: Point) -> Spot:
        x, y = transform.transform(point)
        return float(x), float(y)

    return on_axes


def _written(axes: Any) -> list[Spot]:
    """Spots on the words that stand on the panel already."""
    to_shares = axes.transAxes.inverted()
    found: list[Spot] = []
    for text in axes.texts:
        (left, bottom), (right, top) = text.get_window_extent().transformed(to_shares).get_points().tolist()
        found += _along([(left, (bottom + top) / 2), (right, (bottom + top) / 2)])
    return found


def _merit(place: Candidate, width: float, line: float, others: Array, ink: Array) -> float:
    """How good a label's centre (x, y) for the point (px, py) is: inside, clear, its line crossing nothing, near."""
    x, y, px, py = place
    inside = width / 2 <= x <= 1.02 - width / 2 and line / 2 <= y <= 1 - line / 2
    if not inside:
        return -2.0 - hypot(x - px, y - py)
    aside = np.maximum(np.abs(ink - (x, y)) - (width / 2, line / 2), 0.0)
    nearest = float(np.hypot(*aside.T).min(initial=1.0))
    tie = np.asarray(_along([(px, py), (min(max(px, x - width / 2), x + width / 2), y)])[1:])
    crossed = float(np.hypot(*(others[:, None, :] - tie[None, :, :]).reshape(-1, 2).T).min(initial=1.0))
    return 20 * min(nearest, 0.03) + 30 * min(crossed, 0.015) - hypot(x - px, y - py)


def _along(points: Sequence[Spot]) -> list[Spot]:
    """Spots on the straight lines between points, close enough that no label slips between them."""
    found = list(points)
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(1, int(hypot(x1 - x0, y1 - y0) / 0.02))
        found += [(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps) for k in range(1, steps)]
    return found
