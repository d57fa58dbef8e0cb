"""The scene generator: same seed same scene, honest questions, realistic sizes."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from heliograph.boxes import PixelBox
from heliograph.reference.labels import CHARACTERS, IGNORE, character_cells, dense_labels
from heliograph.reference.questions import TASKS, crop_box, describe, questions
from heliograph.reference.render import render_scene
from heliograph.reference.scenes import COLOURS, SHAPES, plan_scene, region_words

DEV = 8_000_000


def test_a_seed_pins_the_plan() -> None:
    plan = plan_scene(DEV)
    assert plan == plan_scene(DEV)
    plates = tuple(replace(plate, box=tuple(plate.box)) for plate in plan.plates)  # type: ignore[arg-type]
    digest = hashlib.sha256(repr(replace(plan, plates=plates)).encode()).hexdigest()
    assert digest == "7beb9b5cb6066b0d427891db38d1de2fdc51edc3150cc07c4047bd9dc714c828"


def test_a_seed_pins_the_pixels() -> None:
    one, two = render_scene(DEV + 1), render_scene(DEV + 1)
    assert one.image.size == (512, 512)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.image.tobytes() != render_scene(DEV + 2).image.tobytes()


def test_photo_statistics_are_realistic() -> None:
    sizes = []
    for seed in range(DEV, DEV + 24):
        buffer = io.BytesIO()
        render_scene(seed).image.save(buffer, "JPEG", quality=75)
        sizes.append(len(buffer.getvalue()))
    assert 20_000 <= np.mean(sizes) <= 60_000


def test_plans_keep_their_promises() -> None:
    seen_shapes, seen_colours, counts = set(), set(), set()
    for seed in range(DEV, DEV + 300):
        plan = plan_scene(seed)
        counts.add(len(plan.objects))
        names = [(o.shape, o.colour) for o in plan.objects]
        assert len(set(names)) == len(names)
        for thing in plan.objects:
            seen_shapes.add(thing.shape)
            seen_colours.add(thing.colour)
        for plate in plan.plates:
            assert 0 <= plate.box[0] < plate.box[2] <= 512
            assert 0 <= plate.box[1] < plate.box[3] <= 512
            assert all(char in CHARACTERS for char in plate.text)
    assert counts == set(range(2, 8))
    assert seen_shapes == set(SHAPES)
    assert seen_colours == set(COLOURS)


def test_existence_and_relation_are_balanced() -> None:
    answers: Counter[tuple[str, str]] = Counter()
    for seed in range(1500):
        for record in questions(plan_scene(seed)):
            answers[record.task, record.answer] += 1
    for task, one, other in (("existence", "yes", "no"), ("relation", "left", "right"), ("relation", "above", "below")):
        share = answers[task, one] / (answers[task, one] + answers[task, other])
        assert 0.45 < share < 0.55, (task, share)


def test_answers_follow_from_the_plan() -> None:
    tasks = set()
    for seed in range(DEV, DEV + 200):
        plan = plan_scene(seed)
        for record in questions(plan, round_number=seed % 3):
            tasks.add(record.task)
            words = record.question.rstrip("?.").replace(",", "").split()
            if record.task == "colour":
                (thing,) = [o for o in plan.objects if o.shape in words]
                assert record.answer == thing.colour
            elif record.task == "shape":
                (thing,) = [o for o in plan.objects if o.colour in words]
                assert record.answer == thing.shape
            elif record.task == "existence":
                named = [
                    o
                    for o in plan.objects
                    if o.shape in words and (o.colour in words or not any(c in words for c in COLOURS))
                ]
                assert record.answer == ("yes" if named else "no")
            elif record.task in ("large-print", "small-print"):
                assert record.answer in {p.text for p in plan.plates if p.large == (record.task == "large-print")}
            elif record.task == "description":
                assert record.answer == describe(plan)
    assert tasks == set(TASKS)


def test_rounds_ask_differently() -> None:
    plan = plan_scene(DEV)
    assert questions(plan) == questions(plan)
    assert questions(plan) != questions(plan, round_number=1)


def test_dense_labels_name_what_each_cell_shows() -> None:
    scene = render_scene(DEV)
    labels = dense_labels(scene.plan, scene.owners)
    for thing in scene.plan.objects:
        cell = (thing.y // 64) * 8 + thing.x // 64
        assert labels.centre[cell] == 1
    assert labels.centre.sum() <= len(scene.plan.objects) + len(scene.plan.plates)
    background = labels.shape == 0
    assert (labels.colour[background] == IGNORE).all()
    assert (labels.row[background] == IGNORE).all()


def test_small_print_is_labelled_only_through_a_crop() -> None:
    seed = next(s for s in range(DEV, DEV + 50) if any(not p.large for p in plan_scene(s).plates))
    scene = render_scene(seed)
    small = next(p for p in scene.plan.plates if not p.large)
    whole = dense_labels(scene.plan, scene.owners)
    window = crop_box(small.box, 512)
    close = dense_labels(scene.plan, scene.owners, window=window)
    plate_class = len(SHAPES) + 2
    assert (whole.characters[:, whole.shape == plate_class] == IGNORE).all()
    cells = np.flatnonzero(close.shape == plate_class)
    assert cells.size
    read = "".join(CHARACTERS[int(close.characters[i, cells[0]])] for i in range(3))
    assert read == small.text


def test_character_cells_read_left_to_right() -> None:
    seed = next(s for s in range(DEV, DEV + 50) if any(p.large for p in plan_scene(s).plates))
    plan = plan_scene(seed)
    cells = character_cells(plan)
    text = next(p.text for p in plan.plates if p.large)
    assert set(cells[cells != IGNORE]) <= {CHARACTERS.index(char) for char in text}
    assert (cells != IGNORE).sum() >= 2


@pytest.mark.parametrize(
    ("point", "words"),
    [((0, 0), ("top", "left")), ((256, 256), ("middle", "center")), ((511, 511), ("bottom", "right"))],
)
def test_regions(point: tuple[int, int], words: tuple[str, str]) -> None:
    assert region_words(*point) == words


def test_crop_box_stays_inside() -> None:
    assert crop_box(PixelBox(0, 0, 10, 10), 512) == (0, 0, 128, 128)
    assert crop_box(PixelBox(500, 500, 512, 512), 512) == (384, 384, 512, 512)
    left, top, right, bottom = crop_box(PixelBox(200, 100, 240, 120), 512)
    assert (right - left, bottom - top) == (128, 128)
    assert left <= 200
    assert right >= 240
