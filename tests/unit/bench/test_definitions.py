import pytest

from heliograph.bench.definitions import reference_plan, standard_links, tasks
from heliograph.bench.tasks import DESCRIPTION, EASY_VQA, easy_vqa_items, scene_items
from heliograph.errors import DataMissingError
from heliograph.reference.questions import TASKS
from heliograph.registry import STRATEGIES


def test_every_task_of_the_generator_is_scored() -> None:
    assert set(TASKS) | {EASY_VQA} == set(tasks())
    assert not tasks()["small-print"].in_mean
    assert not tasks()[EASY_VQA].in_mean
    assert tasks()["colour"].in_mean


def test_links_are_those_of_the_tables() -> None:
    assert [(link.mbit, link.rtt_ms) for link in standard_links()] == [(0.02, 200), (0.25, 100), (1, 50), (10, 20)]
    profile = standard_links()[0].profile
    assert profile.up_bit_s == 20_000
    assert profile.round_trip_s == pytest.approx(0.2)


@pytest.mark.parametrize("name", ["reference", "smoke"])
def test_plans_name_what_exists_and_keep_the_splits_apart(name: str) -> None:
    plan = reference_plan(name)
    for strategy in (*plan.fixed_settings, *plan.swept):
        assert strategy in STRATEGIES.names()
    assert {link.name for link in standard_links()} >= set(plan.socket_links)
    tuned = range(plan.tuning_seed_start, plan.tuning_seed_start + plan.tuning_scenes)
    assert tuned.start >= 8_000_000
    assert tuned.stop <= 8_100_000
    tested = range(plan.seed_start, plan.seed_start + plan.scenes)
    assert not set(tuned) & set(tested)


def test_the_reference_suite_asks_enough_questions_of_the_test_split() -> None:
    plan = reference_plan("reference")
    assert plan.seed_start >= 8_100_000
    assert plan.seed_start + plan.scenes <= 8_200_000
    sample = list(scene_items(plan.seed_start, 4, descriptions=False))
    assert sum(len(item.records) for item in sample) / 4 * plan.scenes > 2000


def test_scenes_stop_at_the_limit() -> None:
    items = list(scene_items(8_000_000, 50, descriptions=True, limit=11))
    assert sum(len(item.records) for item in items) == 11
    assert any(r.task == DESCRIPTION for item in items for r in item.records)
    assert items[0].image_id == "scene-8000000"
    assert items[0].photo.size == (512, 512)


def test_missing_easy_vqa_is_a_named_error(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("HELIOGRAPH_DATA", str(tmp_path))
    with pytest.raises(DataMissingError):
        list(easy_vqa_items(10))
    assert list(easy_vqa_items(0)) == []
