"""Parts are learned on a tiny stand-in: runs go on, repeat themselves, and write what both ends can use."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.parts import Part, write_card
from heliograph.codec.question_words import question_words
from heliograph.errors import UsageError
from heliograph.reference.recipe import build_reference_model
from heliograph.strategies.compressed_latent.tokens_1d import Registers
from heliograph.training.meta.data import MetaData
from heliograph.training.meta.network import Coder, MetaSizes
from heliograph.training.meta.start import start_from_components, token_space
from heliograph.training.meta.teacher import Teacher
from heliograph.training.ordered.answering import Classroom, prefixes, relative
from heliograph.training.ordered.data import scene_data
from heliograph.training.ordered.export import export_adapter, export_registers, export_side, price_words
from heliograph.training.ordered.loop import OrderedRun
from heliograph.training.ordered.network import RegisterCoder, RegisterSizes
from heliograph.training.ordered.questions import QuestionAdapter, SideDecoder
from heliograph.training.ordered.start import start_greedily
from heliograph.training.ordered.tokens_1d import RegisterLesson
from heliograph.training.ordered.with_questions import AdapterLesson, LogisticRate, SideLesson
from heliograph.types import VisualTokens
from heliograph.vlm.model import VisionLanguageModel

FEATURES = 12
SIZES = RegisterSizes(
    8, 8, FEATURES, codes=6, words=8, channels=4, components=16, width=32, encoder_layers=1, decoder_layers=1, heads=2
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """A tiny untrained model, and two dozen scenes of which half are asked about."""
    folder = build_reference_model(tmp_path_factory.mktemp("model"), seed=4)
    teacher = Teacher(VisionLanguageModel.load(str(folder)))
    with pytest.MonkeyPatch.context() as patch:
        from heliograph.training.fitting import fit_codec
        from heliograph.training.meta import teacher as answering

        patch.setattr(fit_codec, "scene_questions", lambda plan: ("is there a red star?", "what is this?"))
        patch.setattr(answering, "_ANSWER_TOKENS", 2)
        data = scene_data(teacher, tmp_path_factory.mktemp("data"), lambda _: None, pictures=40, asked=24)
    sets = [VisualTokens(one.float().numpy(), data.grid) for one in data.tokens]
    klt = fit_klt(sets, modes=("none",), max_components=FEATURES, restore=False)
    return Classroom(teacher, data, token_space(klt, data.tokens, FEATURES))


def coder_of(room: Classroom) -> RegisterCoder:
    torch.manual_seed(1)
    coder = RegisterCoder(SIZES)
    start_greedily(coder, room.all_features(), 1)
    return coder


def meta_of(room: Classroom) -> Coder:
    torch.manual_seed(2)
    sizes = MetaSizes(8, 8, FEATURES, latents=6, channels=4, width=32, encoder_layers=1, decoder_layers=1, heads=2)
    coder = Coder(sizes)
    start_from_components(coder.encoder, coder.decoder, coder.rate, room.all_features(), 0.5)
    return coder.requires_grad_(False)


def run_of(lesson: Any, out: Path, lines: list[str]) -> OrderedRun:
    return OrderedRun(lesson, out, {"what": 1}, rates=(3e-3, 1e-3), seed=3, progress=lines.append)


def test_scenes_are_those_of_the_training_split_and_made_once(room: Classroom, tmp_path: Path) -> None:
    assert len(room.train) + len(room.dev) == 40
    asked = [len(own) for own in (*room.dev.asked, *room.train.asked)]
    assert asked == [2] * 24 + [0] * 16
    with pytest.raises(UsageError):
        scene_data(room.teacher, tmp_path, lambda _: None, seed=10**6)


def test_nested_dropout_keeps_a_beginning_of_every_length() -> None:
    known = prefixes(np.random.default_rng(1), 2000, 16)
    lengths = known.sum(1)
    assert torch.equal(known, torch.arange(16)[None] < lengths[:, None])
    assert set(lengths.tolist()) == set(range(1, 17))
    assert (lengths == 16).float().mean() > 0.15
    assert (lengths <= 2).float().mean() > 0.1


def test_the_greedy_start_is_ordered_and_every_code_helps(room: Classroom) -> None:
    torch.manual_seed(1)
    shares = start_greedily(RegisterCoder(SIZES), room.all_features(), 1)
    assert len(shares) == SIZES.codes + 1
    assert shares[0] == 1.0
    assert all(after < before for before, after in pairwise(shares))
    assert shares[1] < 0.9
    coder, features = coder_of(room), room.all_features()
    known = torch.ones(len(features), SIZES.codes, dtype=torch.bool)
    with torch.no_grad():
        restored, values, codes = coder(features, known)
    assert float(relative(restored, features)) == pytest.approx(shares[-1], abs=1e-3)
    assert values.shape == (*codes.shape, SIZES.channels)


def test_codebooks_follow_what_falls_to_their_words(room: Classroom) -> None:
    coder = coder_of(room)
    coder.books.counts.fill_(1.0)
    before = coder.books.words.clone()
    values, codes = torch.full((4, SIZES.codes, SIZES.channels), 9.0), torch.zeros(4, SIZES.codes, dtype=torch.int64)
    for _ in range(800):
        coder.books.follow(values, codes)
    assert torch.allclose(coder.books.words[:, 0], torch.tensor(9.0), atol=1.0)
    moved = (coder.books.words[:, 1:] - before[:, 1:]).abs().sum(-1)
    assert (moved > 0).any()  # dead words were put where the values are


def test_prices_buy_fewer_bits(room: Classroom) -> None:
    def spent(price: float) -> tuple[float, float]:
        coder = coder_of(room)
        features = room.all_features()
        if price:
            price_words(coder, features, price)
        known = torch.ones(len(features), SIZES.codes, dtype=torch.bool)
        with torch.no_grad():
            restored, _, codes = coder(features, known)
        counts = [np.bincount(row, minlength=SIZES.words) / len(codes) for row in codes.numpy().T]
        bits = -sum(float((p[p > 0] * np.log2(p[p > 0])).sum()) for p in counts)
        return bits, float(relative(restored, features))

    (flat, near), (cheap, far) = spent(0), spent(40.0)
    assert cheap < 0.9 * flat
    assert far >= near


def test_a_run_learns_and_goes_on_where_it_was(room: Classroom, tmp_path: Path) -> None:
    lines: list[str] = []
    once, twice = RegisterLesson(coder_of(room), room, 0.5), RegisterLesson(coder_of(room), room, 0.5)
    whole = run_of(once, tmp_path / "whole", lines)
    for share in (0.0, 0.3, 0.6, 0.9):
        figures = whole.step(share)
    assert {"token error", "divergence"} <= set(figures)
    assert whole.state.asks
    parted = run_of(twice, tmp_path / "parted", lines)
    parted.step(0.0)
    parted.step(0.3)
    parted.run(0)
    again = RegisterLesson(coder_of(room), room, 0.5)
    gone_on = run_of(again, tmp_path / "parted", lines)
    assert gone_on.state.step == 2
    gone_on.step(0.6)
    gone_on.step(0.9)
    for one, other in zip(once.module.state_dict().values(), again.module.state_dict().values(), strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-5)
    with pytest.raises(UsageError):
        OrderedRun(again, tmp_path / "parted", {"what": 2}, rates=(1, 1))


def loaded(folder: Path, files: list[str]) -> Part:
    return write_card(folder, files, {"seed": 0}, "")


def test_exported_registers_give_what_the_modules_give(room: Classroom, tmp_path: Path) -> None:
    coder = coder_of(room)
    files, figures = export_registers(coder, room, tmp_path / "tokens-1d")
    registers = Registers.of(loaded(tmp_path / "tokens-1d", files))
    assert figures["flat_bits"] == 18
    assert 0 < figures["prior_bits_seen"] < 18
    tokens = room.dev.picture(0)
    codes = registers.codes(tokens)
    with torch.no_grad():
        features = room.space.features(room.dev.tokens[:1].float())
        _, wanted = coder.encoder(features, coder.books, coder.decoder.tell)
        assert np.array_equal(codes, wanted.numpy())
        known = torch.arange(SIZES.codes)[None] < 4
        exact = room.space.tokens(coder.decoder(coder.words_of(wanted), known))[0].numpy()
    assert np.allclose(registers.tokens(codes, 4, tokens.grid), exact, atol=1e-3)


@pytest.mark.parametrize("hears", [True, False])
def test_a_side_decoder_begins_at_nothing_and_learns_to_hear(room: Classroom, hears: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    side = SideDecoder(64, FEATURES, width=16, heads=2, layers=1, hears=hears)
    features, share = room.held_out(2), torch.ones(2)
    words = torch.from_numpy(np.concatenate([question_words("is there?"), question_words("what colour is it?")]))
    assert torch.equal(side(features, share, words), features)
    run = run_of(SideLesson(side, meta_of(room), room), tmp_path, [])
    for _ in range(6):
        figures = run.step(0.2)
    assert {"divergence", "token error"} == set(figures)
    with torch.no_grad():
        one, other = side(features[:1], share[:1], words[:1]), side(features[:1], share[:1], words[1:])
    assert torch.equal(one, other) is not hears


def test_an_adapter_begins_at_nothing_and_its_network_is_what_was_learned(room: Classroom, tmp_path: Path) -> None:
    torch.manual_seed(0)
    adapter, coder = QuestionAdapter(64, FEATURES, width=16, heads=2, layers=1), meta_of(room)
    features = room.held_out(2)
    words = torch.from_numpy(np.concatenate([question_words("is there?"), question_words("what colour is it?")]))
    assert torch.equal(adapter(features, words), features)
    rate = LogisticRate(coder.encoder(features).round())
    lesson = AdapterLesson(adapter, coder, room, rate)
    run = run_of(lesson, tmp_path / "run", [])
    for _ in range(6):
        figures = run.step(0.2)
    assert figures["bytes"] > 0
    assert lesson.figures().count("->") == 4
    files, _ = export_adapter(adapter, room, tmp_path / "question-coded")
    part = loaded(tmp_path / "question-coded", files)
    tokens = room.dev.tokens[:2].float()
    (made,) = part.network("adapter").run(None, {"tokens": tokens.numpy(), "words": words.numpy()})
    with torch.no_grad():
        moved = adapter(room.space.features(tokens), words) - room.space.features(tokens)
        exact = tokens + room.space.change(moved)
    assert np.allclose(made, exact.numpy(), atol=2e-3)
    assert not np.allclose(made, tokens.numpy(), atol=2e-3)


def test_the_network_of_side_info_corrects_tokens(room: Classroom, tmp_path: Path) -> None:
    torch.manual_seed(0)
    side = SideDecoder(64, FEATURES, width=16, heads=2, layers=1)
    torch.nn.init.normal_(side.leave.weight, std=0.1)
    files, _ = export_side(side, room, tmp_path / "side-info")
    part, tokens = loaded(tmp_path / "side-info", files), room.dev.tokens[:2].float()
    words = np.repeat(question_words("what is this?"), 2, axis=0)
    given = {"tokens": tokens.numpy(), "share": np.array([0.25, 1], np.float32), "words": words}
    (made,) = part.network("side").run(None, given)
    with torch.no_grad():
        features = room.space.features(tokens)
        moved = side(features, torch.tensor([0.25, 1]), torch.from_numpy(words)) - features
        exact = tokens + room.space.change(moved)
    assert np.allclose(made, exact.numpy(), atol=2e-3)


def test_the_shipped_codec_comes_back_as_modules() -> None:
    from heliograph.codec.bundle import Bundle
    from heliograph.codec.meta import MetaCodec
    from heliograph.reference.assets import shipped_bundle_folder
    from heliograph.training.ordered.trained_meta import trained_meta

    bundle = Bundle.load(shipped_bundle_folder())
    codec = bundle.codec("meta")
    assert isinstance(codec, MetaCodec)
    space, coder = trained_meta(bundle.folder, codec)
    values = np.random.default_rng(1).normal(size=(64, codec.hidden_size)).astype(np.float32)
    tokens = VisualTokens(values, codec.grid)
    with torch.no_grad():
        latents = coder.encoder(space.features(torch.from_numpy(values)[None])).round()
        known = torch.arange(coder.encoder.sizes.latents)[None] < 20
        restored = space.tokens(coder.decoder(latents, known))[0].numpy()
    integers = codec.latents(tokens)
    assert np.mean(integers == latents.numpy()) > 0.999
    assert np.allclose(codec._restored(latents.numpy().astype(np.int64), 20, codec.grid), restored, atol=1e-3)
    assert not any(one.requires_grad for one in coder.parameters())


def test_data_of_another_kind_is_no_part_of_a_classroom(room: Classroom) -> None:
    assert isinstance(room.train, MetaData)
    pairs = room.pairs(np.random.default_rng(0), 20)
    assert all(pair.asked in room.train.asked[pair.picture] for pair in pairs)
