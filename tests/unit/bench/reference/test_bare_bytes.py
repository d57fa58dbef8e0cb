"""The table of plain and bare pictures: its cells are medians of what the strategies send."""

from __future__ import annotations

import io

from PIL import Image

from heliograph.bench.reference.bare_bytes import SETTINGS, median_bytes, table


def photo(shade: int) -> Image.Image:
    picture = Image.radial_gradient("L").resize((96, 96))
    return Image.merge("RGB", (picture, picture.rotate(90), Image.new("L", (96, 96), shade)))


def webp_bytes(picture: Image.Image) -> int:
    file = io.BytesIO()
    picture.resize((64, 64), Image.Resampling.LANCZOS).save(file, "WEBP", quality=50, method=6)
    return len(file.getvalue())


def test_a_cell_is_the_median_of_files_and_bare_ones_are_shorter() -> None:
    photos = [photo(shade) for shade in (0, 120, 240)]
    plain = median_bytes("webp", {"size": 64, "quality": 50}, photos)
    assert plain == sorted(map(webp_bytes, photos))[1]
    assert plain - 28 <= median_bytes("webp-bare", {"size": 64, "quality": 50}, photos) <= plain - 24


def test_a_row_a_setting() -> None:
    lines = table([photo(9)]).splitlines()
    assert lines[0] == "| size, quality | `jpeg` | bare | `webp` | bare | `avif` | bare |"
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {size}, {quality}" for size, quality in SETTINGS]
