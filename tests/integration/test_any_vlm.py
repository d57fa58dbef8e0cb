"""A model of another family from photos to answers: fit, export, serve, ask over a real websocket.

Real processor files, real photos, random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from brief_training import make_brief
from data_at_hand import data_or_skip
from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.errors import ModelUnsupportedError
from heliograph.serving.opening import load_cloud
from heliograph.serving.web.application import CloudApplication
from heliograph.serving.web.runner import BackgroundServer
from heliograph.types import Grid
from heliograph.vlm.general import GeneralModel
from heliograph.vlm.opening import open_model

SIZE = (384, 288)
PHOTOS = 10
QUESTION = "what is on the sign?"
Say = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folders(tiny_qwen3_vl: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny Qwen3-VL with deepstack behind its real tokenizer and processor, and real photos."""
    photos = data_or_skip("textvqa-dev")
    chosen = tmp_path_factory.mktemp("photos")
    for path in sorted((photos / "photos").iterdir())[:PHOTOS]:
        shutil.copyfile(path, chosen / path.name)
    return tiny_qwen3_vl, chosen


@pytest.fixture(scope="module")
def made(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Codec and bundles in float32 and int8, all by commands."""
    model, photos = folders
    out = tmp_path_factory.mktemp("made")
    size = "x".join(map(str, SIZE))
    with pytest.MonkeyPatch.context() as patch:
        make_brief(patch)
        _make(model, photos, out, size)
    return out / "codec", out / "float32", out / "int8"


def _make(model: Path, photos: Path, out: Path, size: str) -> None:
    codec = ["--photos", photos, "--size", size, "--out", out / "codec"]
    assert main([*map(str, ["fit", "--vlm", model, *codec])]) == 0
    for name, more in (("float32", []), ("int8", ["--int8"])):
        export = ["export", "--vlm", model, "--codec", out / "codec", "--photos", photos, "--size", size, *more]
        assert main([*map(str, [*export, "--out", out / name])]) == 0


@pytest.fixture(scope="module")
def url(folders: tuple[Path, Path], made: tuple[Path, Path, Path]) -> Iterator[str]:
    """A cloud that has the codec folder and no bundle."""
    with BackgroundServer(CloudApplication(load_cloud(str(folders[0]), made[0]))) as server:
        yield server.url


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*argv: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*map(str, argv), "--json"]) == 0
        parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return parsed

    return run


def test_the_device_makes_the_models_tokens(folders: tuple[Path, Path], made: tuple[Path, Path, Path]) -> None:
    model = open_model(str(folders[0]))
    assert isinstance(model, GeneralModel)
    devices = [Device(Bundle.load(folder)) for folder in made[1:]]
    for path in sorted(folders[1].iterdir())[:3]:
        photo = Image.open(path).convert("RGB")
        own = model.encode_image(photo.resize(SIZE, Image.Resampling.BICUBIC))
        exact, eight = (device.encode_tokens(photo) for device in devices)
        assert exact.grid == own.grid == Grid(9, 12, 1, *SIZE)
        assert np.abs(exact.values - own.values).max() < 1e-4 * np.abs(own.values).max()
        assert 0 < np.abs(eight.values - own.values).mean() < 0.1 * np.abs(own.values).mean()


def test_answers_over_the_wire(
    folders: tuple[Path, Path], made: tuple[Path, Path, Path], url: str, say: Say, tmp_path: Path
) -> None:
    photo = min(folders[1].iterdir())
    model = open_model(str(folders[0]))
    for folder in made[1:]:  # one cloud serves both
        device = Device(Bundle.load(folder))
        tokens = device.encode_tokens(Image.open(photo).convert("RGB"))
        codec = device.codec("klt")
        whole = codec.encode(tokens)
        restored = codec.decode(whole.header, whole.segments)
        for budget in (0, 96):
            limit = ["--budget", str(budget)] if budget else ["--setting", "max_bytes=0"]
            found = say("ask", photo, QUESTION, "--server", url, "--bundle", folder, *limit)
            assert found["strategy"] == "klt"
            if budget:
                assert found["payload_bytes"] <= budget
        stream = tmp_path / f"{folder.name}.hgs"
        say("encode", photo, "-o", stream, "--bundle", folder)
        answer = say("answer", stream, QUESTION, "--vlm", folders[0], "--bundle", made[0])["answer"]
        assert answer == model.answer(QUESTION, [restored]).text


@pytest.mark.parametrize("strategy", ["divprune", "dfmr"])
def test_fewer_tokens_are_answered_too(
    folders: tuple[Path, Path], made: tuple[Path, Path, Path], url: str, say: Say, strategy: str
) -> None:
    """A photo's own grid, stated in the header, and tokens with deeper levels."""
    found = say(
        "ask", min(folders[1].iterdir()), QUESTION, "--server", url, "--bundle", made[1], "--strategy", strategy
    )
    assert found["strategy"] == strategy
    assert found["payload_bytes"] > 10


def test_a_tower_that_does_not_tell_what_it_looks_at(
    folders: tuple[Path, Path], made: tuple[Path, Path, Path], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["ask", min(folders[1].iterdir()), QUESTION, "--server", url, "--bundle", made[1]]
    assert main([*map(str, [*asked, "--strategy", "visionzip"])]) == 5
    assert "encoder looks at cannot be read" in capsys.readouterr().err


def test_pictures_are_answered_too(folders: tuple[Path, Path], url: str, say: Say) -> None:
    found = say("ask", min(folders[1].iterdir()), QUESTION, "--server", url, "--strategy", "webp")
    assert found["strategy"] == "webp"


def test_guided_pictures_look_at_this_models_tokens(
    folders: tuple[Path, Path], made: tuple[Path, Path, Path], url: str, say: Say
) -> None:
    path = min(folders[1].iterdir())
    photo = Image.open(path).convert("RGB")
    for folder in made[1:]:
        guided = ["--strategy", "roi-avif", "--setting", "size=96,quality=40,guide=question"]  # no language model here
        found = say("ask", path, QUESTION, "--server", url, "--bundle", folder, *guided)
        device = Device(Bundle.load(folder))
        by = {
            guide: device.encode(photo, "roi-avif", {"size": 96, "quality": 40, "guide": guide})
            for guide in ("tokens", "contrast")
        }
        assert found["payload_bytes"] == by["tokens"].payload_bytes
        assert by["tokens"] != by["contrast"]
        with pytest.raises(ModelUnsupportedError, match="one square photo"):
            device.encode(photo, "cotam")
