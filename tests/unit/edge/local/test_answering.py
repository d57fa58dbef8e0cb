"""Streams answered by a bundle alone, against the checkpoint it was exported from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.codec.container import write_stream
from heliograph.edge.device import Device
from heliograph.edge.local import answering
from heliograph.edge.local.answering import answer_stream, answers_alike
from heliograph.errors import ShapeError
from heliograph.reference.assets import demo_photo_path
from heliograph.serving.cloud import Cloud
from heliograph.types import Grid, VisualTokens
from processes import run_python

QUESTIONS = ("how many objects are there?", "describe the picture.")
PHOTO = str(demo_photo_path())

WITHOUT_TORCH = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "starlette", "uvicorn"):
            raise ImportError("refused: " + name)

sys.meta_path.insert(0, Refuse())
from heliograph.cli.main import main
"""


@pytest.fixture(scope="module")
def bundle(reference_pair: Any) -> Bundle:
    return Bundle.load(reference_pair.bundle)


@pytest.fixture(scope="module")
def cloud(bundle: Bundle, reference_pair: Any) -> Cloud:
    from heliograph.vlm.opening import open_model

    return Cloud(open_model(str(reference_pair.model)), bundle.codecs, bundle.hash)


@pytest.fixture(scope="module")
def tokens(bundle: Bundle) -> VisualTokens:
    return Device(bundle).encode_tokens(Image.open(PHOTO).convert("RGB"))


@pytest.mark.parametrize("kind", ["klt", "meta"])
def test_every_prefix_is_answered_as_by_the_checkpoint(
    kind: str, bundle: Bundle, cloud: Cloud, tokens: VisualTokens
) -> None:
    whole = bundle.codec(kind).encode(tokens)
    answers = set()
    for segments in {0, 1, 2, 4, 8, 16, len(whole.segments)}:
        prefix = whole.prefix(segments)
        for question in QUESTIONS:
            expected = cloud.model.answer(question, [cloud.restore(prefix)], max_new_tokens=12)
            found = answer_stream(bundle, prefix, question, max_new_tokens=12)
            assert (found.text, found.token_ids) == (expected.text, expected.token_ids)
            assert found.confidence == pytest.approx(expected.confidence, rel=1e-4)
            answers.add((found.text, round(found.confidence, 3)))
    assert len(answers) > 4  # the prefixes do tell the model different things


def test_pictures_are_answered_by_the_bundles_encoder(bundle: Bundle, cloud: Cloud) -> None:
    encoded = Device(bundle).encode(Image.open(PHOTO).convert("RGB"), "jpeg")
    expected = cloud.model.answer(QUESTIONS[1], [cloud.restore(encoded)], max_new_tokens=12)
    found = answer_stream(bundle, encoded, QUESTIONS[1], max_new_tokens=12)
    assert found.text == expected.text
    assert found.confidence == pytest.approx(expected.confidence, rel=1e-3)


def test_a_grid_that_is_none_of_the_bundles_is_refused(bundle: Bundle, tokens: VisualTokens) -> None:
    tiled = VisualTokens(tokens.values.repeat(2, axis=0), Grid(8, 8, 2))
    with pytest.raises(ShapeError):
        answer_stream(bundle, bundle.codec("klt").encode(tiled), QUESTIONS[0], max_new_tokens=4)


def test_both_runtimes_say_the_same(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], pair_as_default: Any
) -> None:
    def answered(*more: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["answer", str(cut), QUESTIONS[0], "--json", *more]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    cut = tmp_path / "cut.hgs"
    assert main(["encode", PHOTO, "-o", str(cut)]) == 0
    cut.write_bytes(cut.read_bytes()[:-30])
    own, other = answered(), answered("--with", "torch")
    assert (own.pop("runtime"), other.pop("runtime")) == ("onnx", "torch")
    assert own.pop("confidence") == pytest.approx(other.pop("confidence"), rel=1e-4)
    assert own == other


def test_the_command_loads_no_torch(bundle: Bundle, tmp_path: Path, pair_as_default: Any) -> None:
    """Of a stream and of a picture; with the checkpoint named, whose fingerprint is taken."""
    stream, picture = tmp_path / "out.hgs", tmp_path / "picture.hgs"
    assert main(["encode", PHOTO, "-o", str(stream)]) == 0
    assert main(["encode", PHOTO, "-o", str(picture), "--strategy", "webp"]) == 0
    script = WITHOUT_TORCH
    for path in (stream, picture):
        argv = ["answer", str(path), QUESTIONS[0], "--json", "--vlm", str(pair_as_default.model)]
        script += f"assert main({argv!r}) == 0\n"
    script += "assert not {'torch', 'transformers'} & sys.modules.keys()\n"
    done = run_python("-c", script)
    assert done.stdout.count('"runtime": "onnx"') == 2


def test_a_bundle_without_a_language_model_leaves_it_to_torch(
    bundle: Bundle, tokens: VisualTokens, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "codecs"
    bundle.save_pretrained(folder)
    codecs = Bundle.load(folder)
    encoded = replace(codecs.codec("klt").encode(tokens), bundle_hash=codecs.hash)
    assert answers_alike(bundle, encoded)
    assert not answers_alike(codecs, encoded)
    stream = tmp_path / "out.hgs"
    stream.write_bytes(write_stream(encoded))
    assert main(["answer", str(stream), "what?", "--with", "onnx", "--bundle", str(folder)]) == 2
    assert "--with torch" in capsys.readouterr().err


def test_another_checkpoint_than_the_bundles_is_refused_by_name(
    bundle: Bundle, tokens: VisualTokens, reference_pair: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "model"
    shutil.copytree(reference_pair.model, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    stream = tmp_path / "out.hgs"
    stream.write_bytes(write_stream(replace(bundle.codec("klt").encode(tokens), bundle_hash=bundle.hash)))
    argv = ["answer", str(stream), "what?", "--vlm", str(other), "--bundle", str(bundle.folder)]
    for runtime in (["--with", "onnx"], []):
        assert main([*argv, *runtime]) != 0
        assert capsys.readouterr().err.startswith("heliograph: codec-model-mismatch: ")


def test_pictures_are_left_to_torch_where_the_encoder_has_eight_bits(
    bundle: Bundle, tokens: VisualTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "encoder_profile", lambda _: "any")
    picture = Device(None).encode(Image.open(PHOTO).convert("RGB"), "jpeg")
    assert not answers_alike(bundle, picture)
    assert answers_alike(bundle, bundle.codec("klt").encode(tokens))


def test_coefficients_are_left_to_torch_since_they_enter_the_tower(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    encoded = Device(bundle).encode(Image.open(PHOTO).convert("RGB"), "jpeg-dct", {"max_bytes": 200})
    assert not answers_alike(bundle, encoded)
    stream = tmp_path / "out.hgs"
    stream.write_bytes(write_stream(encoded))
    assert main(["answer", str(stream), "what?", "--with", "onnx", "--bundle", str(bundle.folder)]) == 3
    assert "takes no embedded patches" in capsys.readouterr().err
