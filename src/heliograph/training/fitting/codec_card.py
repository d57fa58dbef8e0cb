"""The model card of a fitted codec: what it was made from, and what a prefix of so many bytes restores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.codec.base import Codec
from heliograph.types import VisualTokens
from heliograph.vlm.codec_folder import card_name, public_name

_SHARES = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the whole stream


@dataclass(frozen=True)
class RatePoint:
    """Means over pictures.

    Attributes:
        payload_bytes: header and segments.
        relative_error: length of the error over that of the tokens, both (N, D).
    """

    payload_bytes: float
    relative_error: float


def rate_distortion(codec: Codec, pictures: Sequence[VisualTokens]) -> list[RatePoint]:
    """What prefixes of some shares of each picture's whole stream restore; empty without pictures.

    Raises:
        ShapeError: tokens that the codec was not made for.
    """
    found: list[list[tuple[float, float]]] = []
    for tokens in pictures:
        encoded = codec.encode(tokens)
        length = float(np.linalg.norm(tokens.values))
        points: list[tuple[float, float]] = []
        for share in _SHARES:
            prefix = encoded.segments[: round(share * len(encoded.segments))]
            error = float(np.linalg.norm(codec.decode(encoded.header, prefix).values - tokens.values))
            points.append((len(encoded.header) + sum(map(len, prefix)), error / max(length, 1e-30)))
        found.append(points)
    means = np.asarray(found).mean(axis=0).tolist() if found else []
    return [RatePoint(round(size, 1), round(error, 4)) for size, error in means]


def write_fit_card(
    out: Path, codec: Codec, model_name: str, facts: dict[str, Any], kept_back: Sequence[VisualTokens]
) -> None:
    """``KIND.README.md`` for people and ``KIND.fit.json`` for programs.

    Args:
        out: codec folder; made if absent.
        codec: as fitted.
        model_name: as it was loaded.
        facts: ``pictures``, ``source``, ``seed`` and what else the fit has to say, JSON values.
        kept_back: pictures that it was not fitted on.
    """
    out.mkdir(parents=True, exist_ok=True)
    curve = rate_distortion(codec, kept_back)
    card = {"codec": codec.kind, "model": public_name(model_name), **facts, "kept_back": len(kept_back)}
    text = json.dumps({**card, "rate_distortion": [asdict(point) for point in curve]}, indent=2)
    (out / _facts_name(codec)).write_text(text + "\n", encoding="utf-8")
    (out / card_name(codec.kind)).write_text(_text(card, codec, curve, kept_back), encoding="utf-8")


def licence_section(model: str) -> str:
    """The card's last section. No licence is named: a codec is made from a model and from photos that are not ours."""
    return f"""## Licence

None is stated here. The files were computed from `{model}` and from photos; what the licences of these ask of what is
made from them is for whoever gives the files away to find out and to state, here and in the head of this card.
Heliograph itself, under Apache-2.0, asks nothing for them.
"""


def _facts_name(codec: Codec) -> str:
    return f"{codec.kind}.fit.json"


def _text(card: dict[str, Any], codec: Codec, curve: Sequence[RatePoint], kept_back: Sequence[VisualTokens]) -> str:
    more = [f"{name} {value}" for name, value in card.items() if name in ("weighted", "seed", "retained")]
    rows = "\n".join(f"| {point.payload_bytes:,.0f} | {point.relative_error:.3f} |" for point in curve)
    figures = "No pictures were kept back to report on."
    if kept_back:
        tokens = np.mean([one.grid.tokens for one in kept_back])
        raw = 2 * tokens * codec.hidden_size
        figures = f"""Means over {len(kept_back)} pictures, of {tokens:,.0f} tokens ({raw:,.0f} bytes as float16):

| payload bytes | relative error |
| --- | --- |
{rows}"""
    return f"""---
library_name: heliograph
---
# Heliograph codec `{card["codec"]}` for `{card["model"]}`

Visual tokens of {codec.hidden_size} channels to a stream of bytes and back. It belongs to one frozen model
(`config.json` holds the fingerprint of its weights) and is refused for another.

## Fitted on

{card["pictures"]:,} pictures ({card["source"]}), without captions or labels; {", ".join(more)}.

## Pictures that it was not fitted on

{figures}

The error is the length of the difference over the length of the tokens. `{_facts_name(codec)}` holds the same for
programs.

{licence_section(card["model"])}"""
