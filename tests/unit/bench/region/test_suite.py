"""Policies played on trials with known answers, region refinement, and one photo through the real line."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from heliograph.bench.region import suite as region_suite
from heliograph.bench.region.figures import Plays, figures_of, hits_table, policies_table, prices_table, rows_of
from heliograph.bench.region.plan import region_plan
from heliograph.bench.region.plots import ShownPhoto, draw_photos
from heliograph.bench.region.policies import Questions, kept, play, play_refined, spoiled, tuned
from heliograph.bench.region.setting import plates_of
from heliograph.bench.region.trials import (
    SMALL_PRINT,
    CropEncoding,
    CropTrial,
    Second,
    Trial,
    Trials,
    cheapest_good,
    refined,
    touched_cells,
)
from heliograph.bench.report import write_results
from heliograph.bench.tasks import Item
from heliograph.bench.tools import open_bench
from heliograph.boxes import PixelBox
from heliograph.codec.bundle import Bundle
from heliograph.codec.calibration import Signals
from heliograph.codec.manifest import REGION
from heliograph.controllers.region.always import Always
from heliograph.controllers.region.calibrated import Calibrated
from heliograph.controllers.region.find import Found, RegionSetting
from heliograph.controllers.region.never import Never
from heliograph.controllers.region.random import Random
from heliograph.controllers.region.random_box import RandomBox
from heliograph.controllers.region.threshold import Threshold
from heliograph.reference.render import render_scene
from heliograph.registry import REGION_POLICIES, STRATEGIES
from heliograph.training.calibration.region_choice import Tried
from heliograph.types import Answer, Grid, QuestionRecord, VisualTokens
from heliograph.vlm.attention import AttentionFinder
from heliograph.vlm.model import VisionLanguageModel

BOX, PLATE = PixelBox(0, 0, 128, 128), PixelBox(10, 10, 60, 30)


def chance(signals):
    return 2.0**-signals.min_entropy_bits


def second(right, bits, size=0):
    return Second(Answer("a", 2.0**-bits, bits), size, float(right))


def trial(number, task, first, looked, random=(0, 5.0), region=PLATE):
    record = QuestionRecord(f"scene-{number}", task, f"{task} {number}?", "a", region)
    signals = Signals(first[1], first[1], math.nan, math.nan, 1, 1, None, None, None, 100)
    answers = [second(*pair, size) for pair, size in ((looked, 130), (random, 140), ((0, 9.0), 66), ((0, 9.0), 520))]
    return Trial(record, second(*first, 120), signals, Found(BOX, 0.5), (512, 512), *answers, 2)


@pytest.fixture
def trials():
    """Ten photos: an easy question that looking would spoil blindly in one of them, and small print, found in nine."""
    made = []
    for number in range(10):
        made.append(trial(number, "colour", (1, 0.01), (number != 4, 0.5)))
        plate = PLATE if number else PLATE._replace(right=160)
        made.append(trial(number, SMALL_PRINT, (0, 3.3), (number != 7, 0.02), region=plate))
    return made


def test_policies_take_their_answers_and_pay_for_them(trials):
    found = Questions(trials)
    never, always, random_box = (play(policy, trials, chance) for policy in (Never(), Always(), RandomBox()))
    ours = play(Calibrated(0.5), trials, chance)
    assert found.mean(never.right, SMALL_PRINT)[0] == 0
    assert found.mean(never.right, "colour")[0] == 1
    assert never.second_bytes.sum() == 0
    assert found.mean(always.right, SMALL_PRINT)[0] == pytest.approx(0.9)
    assert found.mean(always.right, "colour")[0] == 1  # the more confident first answer stays
    assert always.second_bytes.tolist() == [130] * 20
    assert random_box.second_bytes.tolist() == [140] * 20
    assert found.mean(random_box.right, SMALL_PRINT)[0] == 0
    assert ours.looked.tolist() == [0, 1] * 10
    assert found.mean(ours.right, SMALL_PRINT)[0] == pytest.approx(0.9)
    assert never.first_bytes.sum() == 120 * 10


def test_what_trusting_the_second_blindly_would_spoil(trials):
    never, always = play(Never(), trials, chance), play(Always(), trials, chance)
    assert spoiled(never, always).sum() == 1
    assert (never.right * (1 - always.right)).sum() == 0


def test_the_more_confident_answer_is_kept():
    first = second(1, 0.5)
    assert kept(first, second(0, 0.6)) is first
    assert kept(first, second(0, 0.5)) is first
    assert kept(first, second(0, 0.4)) is not first


def test_thresholds_look_no_more_than_they_need(trials):
    chosen = tuned(trials, chance)
    assert 0.01 <= chosen.threshold.bits < 3.3
    assert play(chosen.threshold, trials, chance).looked.tolist() == [0, 1] * 10
    assert play(chosen.calibrated, trials, chance).looked.tolist() == [0, 1] * 10


def test_figures_say_what_was_gained_and_paid(trials):
    found = Questions(trials)
    never, always, ours = (play(policy, trials, chance) for policy in (Never(), Always(), Calibrated(0.5)))
    figures = figures_of(found, Plays(never, always, ours, (never, always, ours)))
    gain, share, lost_small, lost, hits, blind, still, ours_spoiled = (figure.value for figure in figures)
    assert gain == pytest.approx(90)
    assert share == pytest.approx(0.5)
    assert (lost_small, lost) == (0, 0)
    assert hits == pytest.approx(90)
    assert blind == pytest.approx(5)
    assert (still, ours_spoiled) == (0, 0)
    assert figures[0].at_least
    assert not figures[1].at_least


def test_a_share_of_bytes_counts_only_within_a_point(trials):
    found = Questions(trials)
    never, always = play(Never(), trials, chance), play(Always(), trials, chance)
    assert figures_of(found, Plays(never, always, never, (never, always)))[1].value is None


def test_rows_and_tables_cover_every_policy_and_task(trials):
    found = Questions(trials)
    plays = [play(policy, trials, chance) for policy in (Never(), Always(), Random(0.5), Threshold(1.0))]
    plays.append(play_refined("refined_equal", "equal", trials, Always(), chance))
    rows = rows_of(found, plays)
    assert {(row.strategy, row.task) for row in rows} == {
        (name, task)
        for name in ("never", "always", "random", "threshold", "latent")
        for task in ("all", "colour", SMALL_PRINT)
    }
    assert rows[0].payload_bytes == pytest.approx(60)
    assert len(policies_table(found, plays).body) == len(plays)
    assert [row[0] for row in hits_table(found).body] == ["colour", SMALL_PRINT]
    limits = [float(row[1]) for row in prices_table(found, Calibrated(1.0), chance, 130).body]
    assert limits[0] < limits[3] <= 1  # slowest and quickest link
    assert min(limits) == 0  # a budget below the region's bytes


def test_the_cheapest_way_that_is_good_enough():
    tried = [
        CropTrial(CropEncoding("meta", str(size)), size, accuracy, 40)
        for size, accuracy in ((90, 0.90), (130, 0.97), (200, 0.98), (400, 0.97))
    ]
    assert cheapest_good(tried, 0.02).payload_bytes == 130
    assert cheapest_good(tried, 0.0).payload_bytes == 200


def test_cells_that_a_box_touches_nearest_first():
    assert touched_cells((64, 64, 128, 128), (512, 512), 8, 8).tolist() == [9]
    assert set(touched_cells((60, 64, 130, 128), (512, 512), 8, 8).tolist()) == {8, 9, 10}
    assert touched_cells((60, 64, 130, 128), (512, 512), 8, 8)[0] == 9
    assert touched_cells((448, 448, 512, 512), (512, 512), 8, 8).tolist() == [63]


def test_refined_tokens_come_near_inside_the_box_and_stay_outside():
    rng = np.random.default_rng(1)
    grid = Grid(8, 8)
    restored, true = (VisualTokens(rng.normal(size=(64, 16)).astype(np.float32), grid) for _ in range(2))
    whole, size = refined(restored, true, (64, 64, 192, 128), (512, 512), 8)
    inside = [9, 10]
    assert size == 2 * (2 + 16)
    np.testing.assert_allclose(whole.values[inside], true.values[inside], atol=0.05)
    outside = np.delete(np.arange(64), inside)
    np.testing.assert_array_equal(whole.values[outside], restored.values[outside])
    few, size = refined(restored, true, (64, 64, 192, 128), (512, 512), 4, 11)
    assert size == 2 + 8
    assert (few.values != restored.values).any(axis=1).sum() == 1


def test_pictures_are_drawn(trials, tmp_path):
    photo = Image.new("RGB", (512, 512), (90, 120, 60))
    relative = np.random.default_rng(0).random((8, 8))
    draw_photos([ShownPhoto(photo, relative, one) for one in trials[:2]], tmp_path / "photos.png")
    with Image.open(tmp_path / "photos.png") as drawn:
        assert min(drawn.size) > 300


def test_the_plan_is_for_strategies_that_there_are_and_keeps_splits_apart():
    plan = region_plan()
    assert set(plan.crops) <= set(STRATEGIES.names())
    dev = [(plan.look_seed_start, plan.look_scenes), (plan.tuning_seed_start, plan.tuning_scenes)]
    for start, count in dev:
        assert start >= 8_010_000
        assert start + count <= 8_100_000
    assert plan.tuning_seed_start + plan.tuning_scenes <= plan.look_seed_start
    assert plan.scenes >= 300


def test_one_photo_through_the_whole_line(reference_pair):
    bench = open_bench(VisionLanguageModel.load(str(reference_pair.model)), Bundle.load(reference_pair.bundle))
    codec = bench.bundle.preferred_codec
    region_finder = AttentionFinder(bench.model, RegionSetting(2))
    photo = render_scene(8_000_003).image
    records = tuple(
        QuestionRecord("scene-8000003", "shape", text, "star") for text in ("how many objects?", "read it.")
    )
    runner = Trials(bench, region_finder, CropEncoding(codec, "max_bytes=90"), codec, 120)
    made = runner.of(Item("scene-8000003", photo, records))
    tokens = runner.tokens_of(photo)
    for record, one in zip(records, made, strict=True):
        assert one.first.answer.text == bench.model.answer(record.question, [tokens], max_new_tokens=8).text
        crop, size = CropEncoding(codec, "max_bytes=90").sent(bench, photo.crop(one.found.box))
        looked = bench.model.answer(record.question, [tokens, crop], max_new_tokens=8)
        assert (one.looked.answer.text, one.looked.payload_bytes) == (looked.text, size)
        assert 0 < one.first.payload_bytes <= 120
        assert one.refined_equal.payload_bytes <= max(size, 66)
        assert one.hit is None


def test_a_setting_is_put_beside_the_codecs_and_found_there(reference_pair, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(reference_pair.bundle, folder)
    before = Bundle.load(folder)
    setting = RegionSetting(3, own=(1.0, 0.5, 0.0, -1.0), windows=(0.3,))
    Bundle.load(folder).with_measured(REGION, setting.to_json())
    after = Bundle.load(folder)
    assert after.hash == before.hash
    assert RegionSetting.from_json(json.loads(after.file("region.json").read_text())) == setting


def test_plates_are_questions_about_small_print():
    photo, record, box = next(plates_of(range(8_010_000, 8_010_020)))
    assert record.task == SMALL_PRINT
    assert record.box == box
    assert photo.size == (512, 512)


def test_a_small_run_fills_every_table_and_picture(reference_pair, tmp_path, monkeypatch):
    small = replace(region_plan(), tuning_scenes=6, crops={"meta": ("max_bytes=110",)}, shown_photos=2)
    stored = RegionSetting.from_json(json.loads(Bundle.load(reference_pair.bundle).file("region.json").read_text()))
    tried = Tried(stored, 0.9, 0.5)
    monkeypatch.setattr(region_suite, "region_plan", lambda: small)
    monkeypatch.setattr(region_suite, "chosen_setting", lambda *given: (tried, [tried]))  # choosing takes a minute
    result = region_suite.RegionSuite(str(reference_pair.model), reference_pair.bundle).run(limit=30, quiet=True)
    assert {row.strategy for row in result.rows} == {*REGION_POLICIES.names(), "latent"}
    assert all(table.body for table in result.tables)
    never, always = (
        next(r for r in result.rows if (r.strategy, r.task) == (name, SMALL_PRINT)) for name in ("never", "always")
    )
    assert always.accuracy > never.accuracy
    names = {path.name for path in write_results(result, tmp_path)}
    assert {"photos.png", "policies.png", "results.json", "results.md"} <= names
