"""A run on stand-ins: what changes, what stays, what is written, and that a run which was stopped goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from heliograph.training.field import training
from heliograph.training.field.alignment import CAPTIONS_FILE, OPEN_FILE, load_alignment
from heliograph.training.field.photos import Photo
from heliograph.training.field.questions import Known, Thing
from heliograph.training.field.training import CHECKPOINT, FieldRun, LearntFrom
from tiny_field import GRID, tiny_field

MINUTES = 0.02


def learnt(count: int, captions: tuple[str, ...], seed: int) -> LearntFrom:
    rng = np.random.default_rng(seed)
    photos = [Photo(Path(f"{seed}-{i}.jpg"), captions) for i in range(count)]
    known = [Known(one, (Thing("dog", 0.9, "black"),) if i % 2 else ()) for i, one in enumerate(photos)]
    cells = torch.from_numpy(rng.normal(size=(count, 2, GRID**2, 16)).astype(np.float16))
    return LearntFrom(known, cells)


def new_run(out: Path, lines: list[str] | None = None) -> FieldRun:
    model, processor = tiny_field()
    plain, captioned = learnt(12, (), 1), learnt(12, ("A dog", "Snow"), 2)
    progress = (lines if lines is not None else []).append
    return FieldRun(model, processor.tokenizer, plain, captioned, out, seed=5, rank=2, progress=progress)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    run = new_run(out)
    frozen = {name: value.clone() for name, value in run.model.state_dict().items()}
    before = run.weights()
    run.run(MINUTES)
    return out, run, frozen, before


def test_all_phases_take_steps_and_write_their_files(finished) -> None:
    out, run, _, _ = finished
    assert set(run.state.steps) == set(training.PHASES)
    assert min(run.state.steps.values()) >= 1
    assert {OPEN_FILE, CAPTIONS_FILE, CHECKPOINT} <= {path.name for path in out.iterdir()}


def test_only_what_joins_the_halves_changes(finished) -> None:
    _, run, frozen, before = finished
    now = run.model.state_dict()
    trained = ("vision_tower.norm", "vision_tower.positions", "multi_modal_projector", ".down", ".up")
    for name, value in frozen.items():
        assert torch.equal(now[name], value) or any(part in name for part in trained), name
    after = run.weights()
    assert all(not torch.equal(after[name], before[name]) for name in before if not name.endswith(".down"))


def test_open_data_teach_a_file_of_their_own(finished) -> None:
    out, run, _, _ = finished
    opened, whole = load_alignment(out / OPEN_FILE), load_alignment(out / CAPTIONS_FILE)
    assert set(opened) == set(whole) == set(run.weights())
    assert not torch.equal(opened["projector.linear_2.weight"], whole["projector.linear_2.weight"])
    for name, value in run.weights().items():
        torch.testing.assert_close(whole[name], value.half().float())


def test_a_run_that_was_stopped_goes_on(finished) -> None:
    out, run, _, _ = finished
    lines: list[str] = []
    again = new_run(out, lines)
    assert "going on from evened" in lines[0]
    assert again.state == run.state
    for name, value in again.weights().items():
        assert torch.equal(value, run.weights()[name])
    steps = dict(again.state.steps)
    again.run(MINUTES)  # its minutes are spent
    assert again.state.steps == steps
    assert again.state.losses == run.state.losses  # no number of no step in their place
    again.run(1.5 * MINUTES)
    assert again.state.steps["evened"] > steps["evened"]
    assert all(again.state.steps[name] == steps[name] for name in steps if name != "evened")


def test_the_second_half_begins_anew(finished) -> None:
    """Nothing of what open photos taught is in it, nor the other way round."""
    _, run, _, before = finished
    run._begin()
    for name, value in run.weights().items():
        if not name.endswith(".down"):  # what they are multiplied with is nothing
            assert torch.equal(value, before[name]), name


def test_words_of_captions_are_not_shown_to_the_open_half(tmp_path, monkeypatch) -> None:
    shown: list[int] = []
    run = new_run(tmp_path)
    monkeypatch.setattr(training, "word_targets", lambda known, tokenizer: shown.append(len(known)) or 1 / 0)
    for phase in ("open-words", "words"):
        run.state.phase = phase
        with pytest.raises(ZeroDivisionError):
            run._words(1.0)
    assert shown == [12, 24]


def test_captions_are_learnt_in_the_last_phases_alone(tmp_path) -> None:
    run = new_run(tmp_path)
    rng = np.random.default_rng(0)
    for phase, wanted in (("open", False), ("captions", True), ("evened", True)):
        run.state.phase = phase
        rows = [row for _ in range(20) for row in run._rows(rng)]
        assert any(row >= 12 for row in rows) is wanted
        said = {answer for row in rows for _, answer in run._asked(row, rng)}
        assert bool(said & {"A dog", "Snow"}) is wanted


def test_tokens_of_sentences_are_told_from_those_of_answers(tmp_path) -> None:
    run = new_run(tmp_path)
    asked = [[("Is there a dog?", "yes"), ("Describe the picture.", "A dog")], [("How many dogs are there?", "2")]]
    batch = run.reader.pack(asked)
    found = run._of_sentences(asked)
    assert len(found) == int((batch.targets != -100).sum())
    end = int(batch.targets[0][batch.targets[0] != -100][-1])
    ends = (batch.targets[batch.targets != -100] == end).nonzero().flatten().tolist()
    assert found[ends].tolist() == [False, True, False]
    assert int(found.sum()) == run.reader.answer_tokens("A dog")
