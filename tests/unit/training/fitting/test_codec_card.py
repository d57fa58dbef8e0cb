"""Model cards of codecs: what was fitted on somebody's model and photos is not ours to license."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliograph.codec.bundle import Bundle
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.training.fitting.codec_card import write_fit_card
from heliograph.training.meta.card import write_card


def fitted(out: Path) -> str:
    codec = Bundle.load(shipped_bundle_folder()).codec("klt")
    facts = {"pictures": 3, "source": "photos", "seed": 1}
    write_fit_card(out, codec, "owner/their-model", facts, kept_back=[])
    return (out / "klt.README.md").read_text(encoding="utf-8")


def trained(out: Path) -> str:
    facts = json.loads((shipped_bundle_folder() / "meta.training.json").read_text(encoding="utf-8"))
    write_card(out, {**facts, "model": "their-model"})
    return (out / "meta.README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("written", [fitted, trained])
def test_a_card_leaves_the_licence_to_whoever_gives_the_files_away(written, tmp_path: Path) -> None:
    _, head, body = written(tmp_path).split("---\n", 2)
    assert head == "library_name: heliograph\n"
    licence = body.partition("## Licence\n")[2]
    assert "their-model" in licence
    assert "for whoever gives the files away to find out and to state" in " ".join(licence.split())
    assert licence.endswith(".\n")
    assert body.count("their-model") == 2  # in the title, too
