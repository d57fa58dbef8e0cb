"""Bytes of plain and of bare pictures, the table of docs/bare-pictures.md.

``python -m heliograph.bench.reference.bare_bytes``
"""

from __future__ import annotations

from statistics import median
from typing import Any, cast

from heliograph.bench.opponents import BARE
from heliograph.reference.render import render_scene
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import DeviceTools, Setting

CODECS = tuple(name.removesuffix(BARE) for name in STRATEGIES.names() if name.endswith(BARE))
SETTINGS = ((64, 50), (80, 50), (96, 50), (128, 35))
SCENES, SEED_START = 24, 8_150_000


def median_bytes(strategy: str, setting: Setting, photos: list[Any]) -> float:
    """Median payload of a strategy that encodes pixels, at one setting."""
    encode, tools = STRATEGIES.load(strategy)().encode, cast("DeviceTools", None)  # pixels need no tools
    return float(median(encode(photo, tools, setting).payload_bytes for photo in photos))


def table(photos: list[Any]) -> str:
    """A row a setting, a pair of columns a codec, as Markdown."""
    lines = ["| size, quality | " + " | ".join(f"`{name}` | bare" for name in CODECS) + " |"]
    lines.append("| --- |" + " --- | --- |" * len(CODECS))
    for size, quality in SETTINGS:
        names = [name for codec in CODECS for name in (codec, f"{codec}{BARE}")]
        found = [median_bytes(name, {"size": size, "quality": quality}, photos) for name in names]
        lines.append(f"| {size}, {quality} | " + " | ".join(f"{value:,.0f}" for value in found) + " |")
    return "\n".join(lines)


def main() -> None:
    """See the module."""
    print(table([render_scene(SEED_START + place).image for place in range(SCENES)]))


if __name__ == "__main__":
    main()
