"""The model card of a trained ``meta`` codec: ``meta.README.md`` for people, ``meta.training.json`` for programs."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from heliograph.codec.meta import MetaCodec
from heliograph.training.fitting.codec_card import licence_section
from heliograph.training.meta.loop import MetaRun
from heliograph.vlm.codec_folder import card_name

README, FACTS = card_name("meta"), "meta.training.json"


def training_facts(run: MetaRun, codec: MetaCodec, source: dict[str, Any], trust: dict[str, Any]) -> dict[str, Any]:
    """Everything that a training has to say of itself, as JSON values.

    Args:
        run: as trained.
        codec: as exported.
        source: model and pictures.
        trust: figures of the error head.
    """
    return {
        "codec": "meta",
        **source,
        "seed": run.state.seed,
        "minutes": round(run.state.seconds / 60, 2),
        "steps": run.state.step,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "sizes": asdict(run.sizes),
        "recipe": asdict(run.recipe),
        "stopped_early": run.has_stalled,
        "whole_stream_bytes": stream_bytes(run, codec),
        "history": run.state.history,
        "error_head": trust,
    }


@torch.no_grad()
def stream_bytes(run: MetaRun, codec: MetaCodec) -> dict[str, float]:
    """Mean bytes of the whole stream of held-out pictures: as coded with its header, as the frozen tables ask for, and
    as the training's own model of the integers asked for (its cross-entropy)."""
    coded: list[float] = []
    asked: list[float] = []
    modelled: list[float] = []
    for one in map(run.dev.picture, range(len(run.dev))):
        integers = codec.latents(one)
        coded.append(codec.encode(one).payload_bytes)
        asked.append(float(codec.tables.latents.bits(integers).sum()) / 8)
        modelled.append(float(run.rate(torch.from_numpy(integers).float()).sum()) / 8)
    means = {"coded": coded, "tables": asked, "model": modelled}
    return {name: round(float(np.mean(values)), 2) for name, values in means.items()}


def write_card(out: Path, facts: dict[str, Any]) -> None:
    """Write both files into ``out``."""
    (out / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (out / README).write_text(_text(facts), encoding="utf-8")


def _text(facts: dict[str, Any]) -> str:
    sizes, recipe, bytes_, trust = facts["sizes"], facts["recipe"], facts["whole_stream_bytes"], facts["error_head"]
    last = facts["history"][-1] if facts["history"] else {}
    points = zip(last.get("curve", []), last.get("errors", []), strict=False)  # runs of old have no errors
    curve = "\n".join(f"| {size:.0f} | {error:.3f} | {agreement:.3f} |" for (size, agreement), error in points)
    bins = "\n".join(
        f"| {predicted:.3f} | {found:.3f} | {count:,} |" for predicted, found, count in trust["reliability"]
    )
    return f"""---
library_name: heliograph
---
# Heliograph codec `meta` for `{facts["model"]}`

A learned progressive codec for visual tokens: {sizes["rows"]} x {sizes["columns"]} tokens of a tile become
{sizes["latents"]} ordered latents of {sizes["channels"]} integers, entropy-coded so that every byte prefix restores all
tokens. It belongs to one frozen model and restores nothing for another. `meta_encoder.onnx` runs on the device,
`meta_decoder.onnx` in the cloud; `meta.safetensors` holds the weights of both, `meta_tables.safetensors` the frozen
tables.

## Training

`heliograph train codec --kind meta`, without captions or labels; {facts["source"]}, {facts["pictures"]:,} pictures,
seed {facts["seed"]}. {facts["steps"]:,} steps of {recipe["batch"]} in {facts["minutes"]:g} minutes
on {facts["machine"]}.
`{FACTS}` holds every setting and the whole history.

## Held-out pictures

Squared token error as a share of the features' energy, and answer agreement with the uncompressed tokens, by mean
bytes of the training's rate model:

| bytes | token error | agreement |
| --- | --- | --- |
{curve}

A whole stream is {bytes_["coded"]:.1f} bytes with its header; its frozen tables ask for {bytes_["tables"]:.1f},
the training's cross-entropy was {bytes_["model"]:.1f}.

## Error head

AUROC of "the answer will differ" {_figure(trust["auroc"])} with the question and {_figure(trust["auroc_prefix_alone"])}
from the prefix alone; correlation of predicted and real token error {_figure(trust["error_correlation"])}
({trust["pictures"]:,} pictures, {trust["samples"]:,} answers that it has not learned from).

| predicted chance | found | answers |
| --- | --- | --- |
{bins}

{licence_section(facts["model"])}"""


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
