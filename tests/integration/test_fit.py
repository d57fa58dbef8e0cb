"""``heliograph fit`` and ``heliograph sizes`` on a model that splits photos into tiles, with photos of many kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from heliograph.cli.main import main
from heliograph.codec.bundle import Bundle
from heliograph.codec.klt import KltCodec
from heliograph.errors import CodecModelMismatchError
from heliograph.reference.recipe import build_reference_model
from heliograph.reference.render import render_scene
from heliograph.serving.opening import load_cloud
from heliograph.training.fitting import fit_codec
from heliograph.types import Grid
from heliograph.vlm.opening import open_model

PHOTOS = 12
Say = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference architecture with random weights and a processor that splits photos."""
    folder = build_reference_model(tmp_path_factory.mktemp("tiled"), seed=3)
    path = folder / "processor_config.json"
    config = json.loads(path.read_text())
    config["image_processor"] |= {"do_image_splitting": True, "size": {"longest_edge": 256}}
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of three shapes, and what people keep beside photos."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        picture = render_scene(7_000_000 + number).image
        picture.resize([(256, 256), (256, 128), (100, 256)][number % 3]).save(folder / f"{number:02}.png")
    Image.fromarray(np.full((40, 60), 40_000, np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (50, 40), (0, 90, 90, 0)).save(folder / "print.tif")
    Image.new("P", (1, 1)).save(folder / "one.gif")
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a photo")
    (folder / "empty.webp").write_bytes(b"")
    return folder


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*argv: str | Path, code: int = 0) -> tuple[dict[str, Any], str]:
        capsys.readouterr()
        assert main([*map(str, argv), "--json"]) == code
        shown = capsys.readouterr()
        return (json.loads(shown.out) if shown.out else {}), shown.err

    return run


@pytest.mark.usefixtures("brief_training")
def test_fit_serve_and_weigh(
    tiled: Path, photos: Path, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "codec"
    facts, said = say("fit", "--vlm", tiled, "--photos", photos, "--codec", "klt", "--out", out)
    assert facts == {"codec": "klt", "model": str(tiled), "folder": str(out)}
    assert "15 photos encoded, 0 there already, 2 skipped as unreadable (cut.jpg, empty.webp)" in said
    with monkeypatch.context() as patch:  # what is learned from the photos is not learned again
        patch.setattr(fit_codec, "working_sensitivity", lambda *given: None)
        patch.setattr(fit_codec, "fit_klt", lambda tokens, **how: KltCodec.load(out))
        again = say("fit", "--vlm", tiled, "--photos", photos, "--out", out)[1]
    assert "0 photos encoded, 15 there already" in again

    model = open_model(str(tiled))
    bundle = Bundle.from_pretrained(out)
    tokens = model.encode_image(Image.open(photos / "01.png"))
    assert tokens.grid == Grid(8, 8, tokens.grid.tiles, 256, 128)
    assert tokens.grid.tiles > 1
    encoded = bundle.codec("klt").encode(tokens)
    errors = [
        float(np.square(bundle.codec("klt").decode(encoded.header, part).values - tokens.values).sum())
        for part in (encoded.segments, ())
    ]
    assert errors[0] < 0.3 * errors[1]
    assert load_cloud(str(tiled), out).bundle_hash == bundle.hash
    with pytest.raises(CodecModelMismatchError):
        load_cloud(f"{tiled}#one-frame", out)
    card = json.loads((out / "klt.fit.json").read_text())
    assert (card["pictures"], card["kept_back"], card["source"]) == (14, 1, "photos")
    curve = [point["payload_bytes"] for point in card["rate_distortion"]]
    assert curve == sorted(curve)
    assert f"| {curve[-1]:,.0f} |" in (out / "README.md").read_text()
    assert str(tmp_path) not in (out / "config.json").read_text() + (out / "klt.fit.json").read_text()

    weighed, _ = say(
        "sizes", "--vlm", tiled, "--photos", photos, "--codec", out, "--most", "4", "--out", tmp_path / "s"
    )
    rows = {row["what"]: row for row in weighed["rows"]}
    assert rows["tokens, float32"]["payload_bytes"] == 4 * weighed["tokens"] * 128
    assert rows["klt, error 0.5"]["payload_bytes"] < rows["klt, whole stream"]["payload_bytes"]
    assert rows["jpeg quality 75, full size"]["payload_bytes"] > 0
    assert rows["klt, whole stream"]["seconds"]["1"] == pytest.approx(rows["klt, whole stream"]["payload_bytes"] * 8e-6)
    assert "| klt, whole stream | the checkpoint's |" in (tmp_path / "s" / "sizes.md").read_text()


def test_what_cannot_be_fitted_is_named(tiled: Path, photos: Path, tmp_path: Path, say: Say) -> None:
    def name(*argv: str | Path, code: int = 3) -> str:
        return str(say(*argv, code=code)[0]["error"])

    out, empty = tmp_path / "out", tmp_path / "empty"
    empty.mkdir()
    assert name("fit", "--vlm", tiled, "--photos", empty, "--out", out) == "data-missing"
    assert name("fit", "--vlm", tiled, "--out", out, code=2) == "usage"
    assert name("fit", "--vlm", empty, "--photos", photos, "--out", out) == "model-unavailable"
    assert name("fit", "--vlm", tiled, "--photos", photos, "--most", "7", "--out", out) == "codec-not-fitted"
    assert name("sizes", "--vlm", tiled, "--photos", photos, "--most", "15") == "codec-not-fitted"
    assert name("sizes", "--vlm", tiled, "--photos", photos, "--codec", empty) == "bundle-damaged"
    (tmp_path / "file").write_text("x")
    assert name("fit", "--vlm", tiled, "--photos", photos, "--out", tmp_path / "file") == "output-unwritable"
