"""The card of an alignment of the field model, from the facts that training writes down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from heliograph.training.field.alignment import CAPTIONS_FILE, OPEN_FILE
from heliograph.training.field.parts import CLASS_NAMES, DETECTOR, LANGUAGE_MODEL, VISION, Part

_HOWTO = "docs/howto/field-model.md"
_TEACHERS = (DETECTOR, CLASS_NAMES)


def card_text(facts: Mapping[str, Any]) -> str:
    """Markdown.

    Args:
        facts: as ``training.json`` holds them, see :func:`heliograph.training.field.run.train_field`.
    """
    held, photos = facts["held_out"], facts["photos"]
    words = held["words_of_the_trial"]
    mean = sum(words.values()) / max(1, len(words))
    return f"""# The field model's alignment

What joins a pretrained vision encoder and a pretrained language model to Heliograph's field model (`{_HOWTO}`).
**Real parts, small alignment**: it names things, kinds and numbers, and describes a scene in a sentence. It is no
general assistant, reads nothing, and is wrong often enough that its figures belong beside every use of it.

| part | package | trained on | licence |
| --- | --- | --- | --- |
{_rows((LANGUAGE_MODEL, VISION))}

Neither is in these files. Teachers of the questions, also packages, of whose weights nothing is here either:

| part | package | trained on | licence |
| --- | --- | --- | --- |
{_rows(_TEACHERS)}

## Files

{_files(facts["files"], photos)}

Apache-2.0, as far as the project can give it: what was learnt from research data is for whoever uses it to judge.

## Held-out photos

{held["photos"]} photos with captions that nothing was learnt from.

| figure | value | interval (95 %) | must | aim |
| --- | --- | --- | --- | --- |
{_figures(held["figures"])}

- Caption loss, nats a token: {_listed(held["caption_loss"])}. `prefix`: as many free vectors, trained on the same
  captions without photos; `wrong`: another photo; `mean`: the mean photo.
- Area under the curve of each thing: {_listed(held["things"])}.
- Of single words to the letter, colours among them, as a first trial was judged: {mean:.3f} in the mean (the trial
  had .78); {_listed(words)}.
- Balanced accuracy of yes and no: {_listed(held["kinds"])}.

## Training

`heliograph train field`, seed {facts["seed"]}, rank {facts["rank"]}, {facts["machine"]}: {_phases(facts)}.
"""


def _files(names: Sequence[str], photos: Mapping[str, int]) -> str:
    taught = {
        OPEN_FILE: f"{photos['plain']:,} photos of Open Images (CC BY 2.0), and what the teachers say of them",
        CAPTIONS_FILE: f"{photos['plain']:,} photos of Open Images (CC BY 2.0), what the teachers say of them, and "
        f"{photos['captioned']:,} photos of Flickr8k with five captions each (research use)",
    }
    return "\n".join(f"- `{name}`: {taught[name]}." for name in names)


def _rows(parts: tuple[Part, ...]) -> str:
    return "\n".join(
        f"| {one.name} | `{one.package}` {one.version} | {one.trained_on} | {one.licence} |" for one in parts
    )


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [(name, one, *one["interval"]) for name, one in figures.items()]
    return "\n".join(
        f"| {name} | {one['value']:.3f} | {low:.3f} to {high:.3f} | {one['must']} | {one['aim']} |"
        for name, one, low, high in rows
    )


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def _phases(facts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {facts['steps'][name]:,} steps in {facts['minutes'][name]:.0f} min" for name in facts["steps"]
    )
