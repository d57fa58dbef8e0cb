"""Sample photos are those that the package can draw, with right answers, and free to be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.cli.main import main
from heliograph.reference.render import render_scene
from heliograph.reference.scenes import plan_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("samples") / "new" / "folder"
    assert main(["samples", "--out", str(out), "--count", "2"]) == 0
    return out


def test_the_folder_holds_photos_questions_and_the_licence(folder):
    names = ["LICENSE.txt", "questions.txt", "sample-01.jpg", "sample-02.jpg"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert "CC0 1.0" in (folder / "LICENSE.txt").read_text()


def test_every_photo_shows_its_scene(folder):
    for number in (0, 1):
        with Image.open(folder / f"sample-0{number + 1}.jpg") as photo:
            assert (photo.format, photo.size, photo.mode) == ("JPEG", (512, 512), "RGB")
            shown = np.asarray(photo, np.float32)
        drawn = np.asarray(render_scene(8_050_000 + number).image, np.float32)
        assert np.abs(shown - drawn).mean() < 8


def test_answers_are_right_by_the_plan_of_the_scene(folder):
    lines = (folder / "questions.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert {row[0] for row in rows} == {"sample-01.jpg", "sample-02.jpg"}
    signs = [row for row in rows if "large sign" in row[1]]
    colours = [row for row in rows if "colour" in row[1] and not row[1].startswith("is ")]
    assert signs or colours
    for photo, _, answer in signs:
        plan = plan_scene(8_050_000 + int(photo[7:9]) - 1)
        assert answer in {plate.text.lower() for plate in plan.plates} | {plate.text for plate in plan.plates}
    assert all("small sign" not in row[1] for row in rows)


def test_json_names_what_was_written(tmp_path, capsys):
    assert main(["samples", "--out", str(tmp_path), "--count", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["folder"] == str(tmp_path)
    assert set(facts["questions"][0]) == {"photo", "question", "answer"}


@pytest.mark.parametrize("count", ["0", "101", "-1", "x"])
def test_the_number_of_photos_is_bounded(count, tmp_path, capsys):
    assert main(["samples", "--out", str(tmp_path / "x"), "--count", count]) == 2
    assert "from 1 to 100" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_help_of_the_demo_says_where_photos_are(capsys):
    assert main(["demo", "--help"]) == 0
    assert "heliograph samples" in " ".join(capsys.readouterr().out.split())
