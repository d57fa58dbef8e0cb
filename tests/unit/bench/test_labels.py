"""Direct labels stay on the panel and off one another."""

from __future__ import annotations

from pathlib import Path

from heliograph.bench.labels import label_series
from heliograph.bench.style import picture


def test_labels_of_crowded_curves_do_not_overlap(tmp_path: Path) -> None:
    curves = {name: [(10.0 * k, 50 + k + shift) for k in range(1, 9)] for shift, name in enumerate("abcdef")}
    names = {name: f"series {name}" for name in curves}
    with picture(tmp_path / "x.png", "a message", "some facts", size=(7.0, 4.0)) as (axes,):
        for points in curves.values():
            axes.plot(*zip(*points, strict=True))
        label_series(axes, curves, names)
        axes.get_figure().canvas.draw()
        boxes = [text.get_window_extent() for text in axes.texts]
        panel = axes.get_window_extent()
    assert len(boxes) == len(curves)
    assert all(panel.x0 <= box.x0 and box.x1 <= panel.x1 * 1.03 for box in boxes)
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert (tmp_path / "x.png").stat().st_size > 0
