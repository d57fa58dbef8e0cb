"""Families of different kinds: a square grid, a grid for every size with deeper levels, and tiles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from heliograph.codec.bundle import Bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.meta import MetaCodec
from heliograph.errors import (
    CodecNotFittedError,
    DataMissingError,
    MissingExtraError,
    ShapeError,
    TokensNotFiniteError,
    UsageError,
)
from heliograph.training.export import framing
from heliograph.training.export.framing import frames_of
from heliograph.training.fitting.fit_codec import fit_codec
from heliograph.training.meta import error_head, general_teacher
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.devices import open_accelerator
from heliograph.training.meta.general_teacher import GeneralTeacher
from heliograph.training.meta.loop import MetaRun
from heliograph.training.meta.photo_space import fitted_directions, photo_space
from heliograph.training.meta.train import GENERAL_RECIPE, open_run, train_meta
from heliograph.types import Grid, VisualTokens
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.opening import open_model

Made = Callable[[str], tuple[Path, Path, Path]]

SIZES = {"latents": 8, "channels": 4, "width": 16, "encoder_layers": 1, "decoder_layers": 1, "heads": 2}
RECIPE = replace(GENERAL_RECIPE, batch=4, asked_batch=2, tokens_alone=0.5, patience=2, report_pictures=1)
TALL_AND_WIDE = [(96, 64)] * 9 + [(64, 96)] * 2
KINDS: dict[str, list[tuple[int, int]]] = {
    "llava": [(70, 60)] * 9,
    "qwen3_vl": TALL_AND_WIDE,
    "idefics3_in_tiles": [(256, 128)] * 6 + [(128, 128)] * 3,
}


@pytest.fixture(scope="module", autouse=True)
def short_answers() -> Iterator[None]:
    """Few tokens and few steps of the error head: what they learn is not asked here. Photos in their own sizes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "frames_of", lambda model, sizes, progress: ())
        patch.setattr(general_teacher, "_ANSWER_TOKENS", 3)
        patch.setattr(error_head, "_STEPS", 40)
        patch.setattr(error_head, "_CUTS", 2)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, families: SimpleNamespace) -> Made:
    """Model, photos and a codec folder of one kind, each made once."""
    known: dict[str, tuple[Path, Path, Path]] = {}

    def make(kind: str) -> tuple[Path, Path, Path]:
        if kind not in known:
            folder = tmp_path_factory.mktemp(kind)
            model = getattr(families, kind)(folder / "model")
            known[kind] = model, families.photos(folder / "photos", KINDS[kind]), folder / "codec"
        return known[kind]

    return make


def opened(paths: tuple[Path, Path, Path]) -> tuple[MetaRun, MetaData, list[str]]:
    said: list[str] = []
    model, photos, out = paths
    run, unseen = open_run(str(model), out, photos=photos, sizes=SIZES, recipe=RECIPE, progress=said.append)
    return run, unseen, said


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_steps_learn_and_give_a_codec(kind: str, made: Made) -> None:
    model, photos, out = made(kind)
    said: list[str] = []
    train_meta(str(model), out, photos=photos, minutes=0.02, sizes=SIZES, recipe=RECIPE, progress=said.append)
    facts = json.loads((out / "meta.training.json").read_text())
    steps = facts["steps"]
    assert steps > 0
    assert facts["history"][-1]["errors"][-1] < 0.9  # restoring nothing is 1
    assert any("B: error" in line and "agreement" in line for line in said)
    codec = Bundle.from_pretrained(out).codec("meta")
    tokens = open_model(str(model)).encode_image(Image.open(photos / "000.png"))
    encoded = codec.encode(tokens)
    assert len(encoded.segments) > 0
    errors = []
    for count in range(len(encoded.segments) + 1):
        restored = codec.decode(encoded.header, encoded.segments[:count])
        assert (restored.values.shape, restored.grid) == (tokens.values.shape, tokens.grid)
        errors.append(float(np.square(restored.values - tokens.values).sum()))
    assert errors[-1] < errors[0]
    again: list[str] = []
    train_meta(str(model), out, photos=photos, minutes=0.03, sizes=SIZES, recipe=RECIPE, progress=again.append)
    assert f"going on from step {steps}" in again
    assert not any("answered" in line or "directions" in line for line in again)  # they were kept
    assert json.loads((out / "meta.training.json").read_text())["steps"] >= steps


def test_losses_fall_and_answers_are_asked(made: Made, tmp_path: Path) -> None:
    model, photos, _ = made("llava")
    run, _, _ = opened((model, photos, tmp_path))
    run.recipe = replace(RECIPE, peak_rate=3e-3)
    torch.nn.init.normal_(run.decoder.leave.weight, std=0.3)  # it starts too well to learn much from eight photos
    errors = [run.step(0.1)["token error"] for _ in range(80)]
    assert np.mean(errors[-8:]) < 0.8 * np.mean(errors[:8])
    assert run.step(0.6)["answer error"] > 0
    run.report({})
    entry = run.state.history[-1]
    assert all(divergence > 0 for divergence in entry["divergences"])
    assert entry["held out"] > 0


def test_photos_on_other_grids_are_left_out_and_said(made: Made) -> None:
    run, unseen, said = opened(made("qwen3_vl"))
    assert any("2 on others are left out" in line for line in said)
    assert len(run.train) + len(run.dev) == 9
    assert len(unseen) == 1
    assert run.train.tokens.shape[2] == 3 * 32  # with two deeper levels
    assert run.train.grid.photo_width == 96


def test_photos_are_brought_into_the_frame_that_is_named(made: Made, tmp_path: Path) -> None:
    model, photos, _ = made("qwen3_vl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "frames_of", frames_of)
        run, _ = open_run(
            str(model),
            tmp_path,
            photos=photos,
            frames=[(512, 256)],
            sizes=SIZES,
            recipe=RECIPE,
            progress=lambda line: None,
        )
    assert len(run.train) + len(run.dev) == len(KINDS["qwen3_vl"])  # none is on another grid
    grid = run.train.grid
    assert (grid.photo_width, grid.photo_height, grid.rows, grid.columns) == (512, 256, 8, 16)


def test_both_kinds_of_codecs_share_one_cache_of_tokens(made: Made) -> None:
    model, photos, out = made("llava")
    opened((model, photos, out))
    said: list[str] = []
    fit_codec(str(model), out, photos=photos, weighted=False, progress=said.append)
    count = len(KINDS["llava"])
    assert f"0 photos encoded, {count} there already" in said


def test_tiles_are_coded_one_by_one(made: Made) -> None:
    run, _, _ = opened(made("idefics3_in_tiles"))
    assert sorted(set(run.train.tile_counts.tolist())) == [3, 5]
    assert run.train.tokens.shape[1:] == (64, 128)
    assert run.train.picture(0).values.shape == (64 * run.train.tile_counts[0], 128)
    assert run.step(0.9)["answer error"] > 0


@pytest.fixture(scope="module")
def llava(made: Made) -> GeneralTeacher:
    model = open_model(str(made("llava")[0]))
    assert isinstance(model, GeneralModel)
    return GeneralTeacher(model)


@pytest.fixture(scope="module")
def pictures(llava: GeneralTeacher, made: Made) -> list[VisualTokens]:
    photos = made("llava")[1]
    return [llava.model.encode_image(Image.open(photos / f"00{i}.png")) for i in range(2)]


def stacked(pictures: list[VisualTokens]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(one.values) for one in pictures])


def test_the_teachers_gradient_is_that_of_its_distance(llava: GeneralTeacher, pictures: list[VisualTokens]) -> None:
    exact = stacked(pictures)
    asked = llava.own_answers(pictures, [("what?", "who is there?"), ("what?",)])
    batch = llava.pack(asked, [one.grid for one in pictures])
    assert float(llava.distance(batch, exact, exact)) == pytest.approx(0, abs=1e-5)
    torch.manual_seed(0)
    noisy = exact + 0.1 * torch.randn_like(exact)
    restored = noisy.clone().requires_grad_(True)
    distance = llava.distance(batch, exact, restored)
    distance.backward()  # type: ignore[no-untyped-call]
    assert restored.grad is not None
    assert float(distance.detach()) > 0
    direction = restored.grad / restored.grad.norm()
    step = 1e-2
    with torch.no_grad():
        ahead, behind = (float(llava.distance(batch, exact, noisy + sign * step * direction)) for sign in (1, -1))
    assert (ahead - behind) / (2 * step) == pytest.approx(float(restored.grad.norm()), rel=0.05)
    assert all(parameter.grad is None for parameter in llava.model.torch_model.parameters())


def test_the_first_choices_are_the_models_own_answer(llava: GeneralTeacher, pictures: list[VisualTokens]) -> None:
    ((question, answer),) = llava.own_answers(pictures[:1], [("what is it?",)])[0]
    with torch.no_grad():
        logits = llava._logits(pictures[0].grid, question, answer, stacked(pictures[:1]))
    assert logits.argmax(-1)[: len(answer)].tolist() == list(answer)


def test_what_this_teacher_cannot_do_is_named(llava: GeneralTeacher, pictures: list[VisualTokens]) -> None:
    exact = stacked(pictures)
    with pytest.raises(UsageError):
        llava.distance(llava.pack([[]], [pictures[0].grid]), exact, exact, 1.0)


def test_a_large_width_needs_no_square_of_it() -> None:
    """D = 3,000 of which six directions vary and two are noticed: those come first."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.standard_normal((3000, 6)))[0].T.astype(np.float32)
    spreads = np.array([9, 8, 7, 6, 2, 1.5], np.float32)
    tokens = torch.from_numpy(((rng.standard_normal((40, 4, 6)) * spreads) @ directions).astype(np.float16))
    noticed = torch.from_numpy(directions[4:])

    def gradient(values: torch.Tensor, grid: Grid, own: object) -> torch.Tensor:
        return torch.randn(values.shape[0], values.shape[1], 2) @ noticed

    data = MetaData(tokens, [[("what?", (1,))]] * 40, Grid(2, 2))
    forward, inverse = fitted_directions(
        gradient, data, tokens.float().mean(0), torch.device("cpu"), 2, lambda line: None
    )
    assert forward.shape == (3000, 2)
    torch.testing.assert_close(inverse @ forward, torch.eye(2), atol=1e-3, rtol=0)
    read = torch.linalg.qr(forward)[0]
    assert float((noticed @ read).square().sum()) > 1.8  # of 2
    space = photo_space(gradient, data, torch.device("cpu"), None, lambda line: None)
    restored = space.tokens(space.features(tokens.float()))
    assert float((restored - tokens.float()).square().mean()) < 1e-3 * float(tokens.float().square().mean())


def test_a_fitted_klt_gives_the_directions(made: Made, tmp_path: Path, llava: GeneralTeacher) -> None:
    model, photos, _ = made("llava")
    tokens = [llava.model.encode_image(Image.open(path)) for path in sorted(photos.iterdir())]
    fit_klt(tokens, modes=("none",), restore=False).save(tmp_path / "klt")
    said: list[str] = []
    run, _ = open_run(
        str(model), tmp_path, photos=photos, start=tmp_path / "klt", sizes=SIZES, recipe=RECIPE, progress=said.append
    )
    assert not any("directions" in line for line in said)
    assert run.step(0.0)["token error"] < 1
    with pytest.raises(ShapeError):
        photo_space(
            llava.gradient,
            MetaData(torch.zeros(9, 16, 5, dtype=torch.float16), [[]] * 9, Grid(4, 4)),
            torch.device("cpu"),
            tmp_path / "klt",
            said.append,
        )


def test_what_cannot_be_trained_on_is_named(
    made: Made, families: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, photos, _ = made("llava")
    few = families.photos(tmp_path / "few", [(40, 40)] * 3)
    (tmp_path / "empty").mkdir()
    for wrong, error in (
        ({"photos": None}, UsageError),
        ({"photos": photos, "recipe": replace(RECIPE, noticed_share=0.5)}, UsageError),
        ({"photos": few}, CodecNotFittedError),
        ({"photos": tmp_path / "empty"}, DataMissingError),
    ):
        with pytest.raises(error):
            open_run(str(model), tmp_path / "out", progress=lambda line: None, **wrong)

    def broken(self: GeneralModel, photo: Image.Image) -> VisualTokens:
        return VisualTokens(np.full((16, 64), np.nan, np.float32), Grid(4, 4, 1, *photo.size))

    monkeypatch.setattr(GeneralModel, "encode_image", broken)
    with pytest.raises(TokensNotFiniteError):
        open_run(str(model), tmp_path / "nan", photos=photos, progress=lambda line: None)


def test_without_accelerate_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtraError) as caught:
        open_accelerator()
    assert caught.value.extra == "train"


def test_a_loaded_codec_keeps_the_grid_of_most_photos(made: Made) -> None:
    model, photos, out = made("qwen3_vl")
    if not (out / "meta.training.json").exists():  # this test alone
        train_meta(str(model), out, photos=photos, minutes=0.02, sizes=SIZES, recipe=RECIPE, progress=lambda line: None)
    codec = MetaCodec.load(out)
    tall = open_model(str(model)).encode_image(Image.open(photos / "010.png"))
    with pytest.raises(ShapeError):
        codec.encode(tall)  # what the strategy then leaves to the closed-form codec
