"""A run learns, goes on where it was stopped, and repeats itself with the same seed."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.codec.fitting.fit import fit_klt
from heliograph.errors import CodecNotFittedError, OutputUnwritableError, UsageError
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.training.fitting.fit_codec import encode_all
from heliograph.training.meta.data import MetaData, gather
from heliograph.training.meta.fixed_rates import bytes_at, compare
from heliograph.training.meta.loop import MetaRecipe, MetaRun, learning_rate
from heliograph.training.meta.network import MetaSizes, TokenSpace
from heliograph.training.meta.start import token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

FEATURES = 12
SIZES = MetaSizes(8, 8, FEATURES, latents=8, channels=4, width=32, encoder_layers=1, decoder_layers=1, heads=2)
RECIPE = MetaRecipe(batch=4, asked_batch=2, questions=1, peak_rate=3e-3, tokens_alone=0.4)
QUESTIONS = ("is there a red star?", "what is this?")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    folder = build_reference_model(tmp_path_factory.mktemp("model"), seed=4)
    return Teacher(VisionLanguageModel.load(str(folder)))


def material(teacher: Teacher) -> Callable[[int, int], tuple[list[VisualTokens], list[tuple[str, ...]]]]:
    def make(first: int, count: int) -> tuple[list[VisualTokens], list[tuple[str, ...]]]:
        pictures = [render_scene(first + i).image for i in range(count)]
        return encode_all(teacher.model, pictures), [QUESTIONS] * count

    return make


@pytest.fixture(scope="module")
def data(teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> MetaData:
    return gather(teacher, material(teacher), 12, tmp_path_factory.mktemp("cache"), "key", lambda _: None)


@pytest.fixture(scope="module")
def space(data: MetaData) -> TokenSpace:
    token_sets = [VisualTokens(one.float().numpy(), data.grid) for one in data.tokens]
    codec = fit_klt(token_sets, modes=("none",), max_components=FEATURES, restore=False)
    return token_space(codec, data.tokens, FEATURES)


def run_of(teacher: Teacher, data: MetaData, space: TokenSpace, out: Path, said: list[str] | None = None) -> MetaRun:
    said = [] if said is None else said
    return MetaRun(teacher, data, space, SIZES, RECIPE, out, seed=5, progress=said.append)


def test_it_starts_as_a_transform_codec(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    run = run_of(teacher, data, space, tmp_path)
    assert np.mean([run.step(0.0)["token error"] for _ in range(4)]) < 0.5  # restoring nothing is 1


def test_losses_fall(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    run = run_of(teacher, data, space, tmp_path)
    torch.nn.init.normal_(run.decoder.leave.weight, std=0.3)  # it starts too well to learn much from eleven pictures
    errors = [run.step(0.1)["token error"] for _ in range(40)]
    assert np.mean(errors[-8:]) < 0.8 * np.mean(errors[:8])


def test_questions_begin_after_the_tokens(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    run = run_of(teacher, data, space, tmp_path)
    assert run.step(RECIPE.tokens_alone - 0.01)["answer error"] == 0
    assert run.step(RECIPE.tokens_alone)["answer error"] > 0


def test_the_same_seed_gives_the_same_steps(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    first, second = (run_of(teacher, data, space, tmp_path / name) for name in "ab")
    assert [first.step(0.5) for _ in range(2)] == [second.step(0.5) for _ in range(2)]


def test_a_resumed_run_repeats_one_that_was_never_stopped(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    whole, stopped = (run_of(teacher, data, space, tmp_path / name) for name in ("whole", "stopped"))
    wanted = [whole.step(0.5) for _ in range(2)]
    assert stopped.step(0.5) == wanted[0]
    stopped.report({})
    assert run_of(teacher, data, space, tmp_path / "stopped").step(0.5) == wanted[1]


def test_a_stopped_run_goes_on(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    run = run_of(teacher, data, space, tmp_path)
    run.step(0.5)
    run.report({"token error": 1.0})
    said: list[str] = []
    again = run_of(teacher, data, space, tmp_path, said)
    assert said == ["going on from step 1"]
    assert again.state.history == run.state.history
    for name, value in run.encoder.state_dict().items():
        assert torch.equal(value, again.encoder.state_dict()[name])
    with pytest.raises(UsageError):
        MetaRun(
            teacher, data, space, MetaSizes(8, 8, FEATURES, latents=4, channels=4, width=32, heads=2), RECIPE, tmp_path
        )


def test_a_full_disk_costs_the_newest_steps_only(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    run = run_of(teacher, data, space, tmp_path)
    run.step(0.5)
    run.report({})
    run.step(0.5)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputUnwritableError):
            run.report({})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run_of(teacher, data, space, tmp_path).state.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_longer_prefixes_cost_more_and_the_curve_has_shares(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    points = run_of(teacher, data, space, tmp_path).curve((1, 3, 1000))
    assert points[0][0] < points[1][0] < points[2][0]
    assert all(0 <= agreement <= 1 for _, agreement in points)


def test_a_branch_begins_with_the_same_weights_and_trains_for_its_own_rate(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    run = run_of(teacher, data, space, tmp_path / "a")
    run.step(0.0)
    branch = run.branch(replace(RECIPE, only_latents=3), tmp_path / "b")
    assert branch.at_latents(3) == run.at_latents(3)
    assert run.at_latents(3)[0] < run.at_latents(8)[0]
    known = branch._prefixes(np.random.default_rng(0), 4)
    assert known.tolist() == [[True] * 3 + [False] * 5] * 4
    assert branch.step(0.0)["bytes"] < run.step(0.0)["bytes"]
    assert [len(branch.train), len(branch.dev)] == [len(run.train), len(run.dev)]


def test_four_fixed_rates_are_compared(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    run = run_of(teacher, data, space, tmp_path / "a")
    found = compare(run, tmp_path, minutes=0.001)
    assert [one.latents for one in found] == [2, 4, 6, 8]
    assert json.loads((tmp_path / "fixed_rates.json").read_text())["fixed"][0]["latents"] == 2
    for one in found:
        assert one.ratio is None or one.ratio == pytest.approx((one.progressive_bytes or 0) / one.bytes)


def test_bytes_at_an_agreement_lie_on_the_curve() -> None:
    curve = [(10.0, 0.5), (20.0, 0.7), (30.0, 0.6), (40.0, 0.9)]
    assert bytes_at(curve, 0.4) == 10
    assert bytes_at(curve, 0.6) == pytest.approx(15)
    assert bytes_at(curve, 0.8) == pytest.approx(35)
    assert bytes_at(curve, 0.95) is None


def test_chunks_are_made_once_and_belong_to_their_key(teacher: Teacher, tmp_path: Path) -> None:
    calls: list[int] = []

    def counted(first: int, count: int) -> tuple[list[VisualTokens], list[tuple[str, ...]]]:
        calls.append(first)
        return material(teacher)(first, count)

    first = gather(teacher, counted, 3, tmp_path, "one", lambda _: None)
    second = gather(teacher, counted, 3, tmp_path, "one", lambda _: None)
    assert calls == [0]
    assert torch.equal(first.tokens, second.tokens)
    assert first.asked == second.asked
    gather(teacher, counted, 3, tmp_path, "two", lambda _: None)
    assert calls == [0, 0]


def test_one_picture_is_too_few(teacher: Teacher, tmp_path: Path) -> None:
    with pytest.raises(CodecNotFittedError):
        gather(teacher, material(teacher), 1, tmp_path, "one", lambda _: None)


def test_an_unknown_prefix_rule_is_refused(teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        MetaRun(teacher, data, space, SIZES, MetaRecipe(prefix="sometimes"), tmp_path)


def test_errors_weigh_what_the_model_notices(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    noticed = torch.full((12, 64, FEATURES), 0.5, dtype=torch.float16)
    noticed[:, 3] = 2.0
    noticed[4] = 0.0  # a picture without questions
    recipe = replace(RECIPE, noticed_share=0.9)
    run = MetaRun(teacher, replace(data, noticed=noticed), space, SIZES, recipe, tmp_path)
    weights = run._weights(np.arange(5))
    assert weights.shape == (5, 64, FEATURES)
    assert weights.mean() == pytest.approx(1, abs=1e-3)
    assert torch.all(weights[3] == 1)  # the first picture is kept to report on
    assert float(weights[0, 3, 0]) > 2 * float(weights[0, 4, 0])
    assert run_of(teacher, data, space, tmp_path / "plain")._weights(np.arange(5)).tolist() == [1.0]


def test_asking_begins_with_a_fresh_optimiser(
    teacher: Teacher, data: MetaData, space: TokenSpace, tmp_path: Path
) -> None:
    run = run_of(teacher, data, space, tmp_path)
    for _ in range(3):
        run.step(0.0)
    first = run._optimiser
    run.step(RECIPE.tokens_alone)
    assert run._optimiser is not first
    assert (run.state.step, run.state.phase_step, run.state.asks) == (4, 1, True)
    second = run._optimiser
    run.step(RECIPE.tokens_alone)
    assert run._optimiser is second
    run.report({})
    assert run_of(teacher, data, space, tmp_path).state.asks


def test_the_rate_falls_within_each_phase() -> None:
    recipe = MetaRecipe(tokens_alone=0.5, peak_rate=1.0, answer_rate=0.3)
    rates = [learning_rate(recipe, share) for share in (0.0, 0.25, 0.499, 0.5, 0.75, 1.0, 1.5)]
    assert rates[0] == 1.0
    assert rates[1] == pytest.approx(0.6)
    assert rates[2] == pytest.approx(0.2, abs=0.01)
    assert rates[3] == pytest.approx(0.3)
    assert rates[4] == pytest.approx(0.15)
    assert rates[5] == rates[6] == pytest.approx(0)
    assert learning_rate(MetaRecipe(tokens_alone=0.0, answer_rate=0.3), 0.0) == pytest.approx(0.3)
    assert learning_rate(MetaRecipe(tokens_alone=1.0), 0.9999) == pytest.approx(0, abs=1e-6)
