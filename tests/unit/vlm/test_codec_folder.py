"""A codec belongs to one checkpoint, by the hash of its weights, and says so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from heliograph.codec.bundle import Bundle
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.product import ProductCodec
from heliograph.errors import CodecModelMismatchError, ModelUnavailableError
from heliograph.reference.recipe import build_reference_model
from heliograph.serving.opening import load_cloud
from heliograph.training.fitting.fit_product import product_tables
from heliograph.types import Grid, VisualTokens
from heliograph.vlm.checkpoint.fingerprint import model_fingerprint
from heliograph.vlm.checkpoint.loading import ModelName, load_pretrained
from heliograph.vlm.codec_folder import card_name, check_fitted_on, public_name, save_codec


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return build_reference_model(folder / "first", seed=1), build_reference_model(folder / "second", seed=2)


@pytest.fixture(scope="module")
def codec() -> KltCodec:
    draw = np.random.default_rng(0)
    sets = [VisualTokens(draw.normal(size=(64, 128)).astype(np.float32), Grid(8, 8)) for _ in range(8)]
    return fit_klt(sets, modes=("none",), max_components=8, restore=False)


def test_a_codec_of_another_model_is_refused(models: tuple[Path, Path], codec: KltCodec, tmp_path: Path) -> None:
    mine, other = map(str, models)
    bundle = save_codec(tmp_path / "codec", codec, codec.grid, mine)
    config = json.loads((tmp_path / "codec" / "config.json").read_text())
    assert (config["model"], config["model_name"]) == (model_fingerprint(mine), models[0].name)
    check_fitted_on(bundle, mine)
    for name in (other, "reference", f"{mine}#one-frame"):
        with pytest.raises(CodecModelMismatchError):
            check_fitted_on(bundle, name)
    assert load_cloud(mine, tmp_path / "codec").bundle_hash == bundle.hash
    with pytest.raises(CodecModelMismatchError):
        load_cloud(other, tmp_path / "codec")


def test_codecs_of_one_model_share_a_folder(models: tuple[Path, Path], codec: KltCodec, tmp_path: Path) -> None:
    mine, other = map(str, models)
    folder = tmp_path / "codec"
    folder.mkdir()
    draw = np.random.default_rng(1)
    sets = [VisualTokens(draw.normal(size=(64, 128)).astype(np.float32), Grid(8, 8)) for _ in range(16)]
    product = ProductCodec(product_tables(sets, codec, subspaces=(1, 2), progress=lambda line: None))
    for one in (codec, product, codec):  # the last one again, in place of itself
        (folder / card_name(one.kind)).write_text(f"---\nlicense: x\n---\n# {one.kind}\n")
        (folder / f"{one.kind}.fit.json").write_text("{}")
        bundle = save_codec(folder, one, one.grid, mine)
    assert set(bundle.codec_kinds) == {"klt", "pq"}
    for one in (codec, product):
        loaded, encoded = bundle.codec(one.kind), one.encode(sets[0])
        assert loaded.encode(sets[0]).segments == encoded.segments
    card = (folder / "README.md").read_text()
    assert card.count("license: x") == 1
    assert card.startswith("---\nlicense: x\n---\n# ")
    assert "# klt\n" in card
    assert "# pq\n" in card
    named = json.loads((folder / "config.json").read_text())["files"]
    assert {"klt.fit.json", "pq.fit.json", "klt.README.md", "pq.README.md", "README.md"} <= set(named)
    assert save_codec(folder, codec, codec.grid, other).codec_kinds == ("klt",)  # pq belongs to another model


def test_a_folder_that_cannot_be_read_is_written_anew(
    models: tuple[Path, Path], codec: KltCodec, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert save_codec(tmp_path, codec, codec.grid, str(models[0])).codec_kinds == ("klt",)


def test_shards_do_not_matter_and_values_do(models: tuple[Path, Path], tmp_path: Path) -> None:
    source = models[0]
    wanted = model_fingerprint(str(source))
    weights = load_file(source / "model.safetensors")
    names = sorted(weights)
    for folder, change in (("shards", 0.0), ("changed", 1e-3)):
        copy = tmp_path / folder
        copy.mkdir()
        (copy / "config.json").write_text((source / "config.json").read_text())
        parts = {"a": names[::2], "b": names[1::2]}
        for part, chosen in parts.items():
            save_file(
                {name: weights[name] + change * (name == names[0]) for name in chosen}, copy / f"{part}.safetensors"
            )
        assert (model_fingerprint(str(copy)) == wanted) == (not change)


def test_a_fingerprint_is_made_of_what_torch_says_of_each_weight(tmp_path: Path) -> None:
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    kinds += (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.bool, torch.complex64)
    weights = {f"w{number}": torch.arange(6).reshape(2, 3).to(kind) for number, kind in enumerate(kinds)}
    weights |= {"scalar": torch.tensor(2.5), "none": torch.zeros(0, 4)}
    (tmp_path / "config.json").write_text("{}")
    save_file(weights, tmp_path / "model.safetensors")
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    assert model_fingerprint(str(tmp_path)) == digest.hexdigest()


def test_the_shipped_model_is_the_one_of_the_shipped_bundle(reference_pair: Any) -> None:
    assert model_fingerprint(str(reference_pair.model)) == Bundle.load(reference_pair.bundle).model


def test_folders_without_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError):
        model_fingerprint(str(tmp_path / "nothing"))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailableError):
        model_fingerprint(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(ModelUnavailableError):
        model_fingerprint(str(tmp_path))


def test_names_are_taken_apart(tmp_path: Path) -> None:
    assert ModelName.parse("owner/name") == ModelName("owner/name")
    assert ModelName.parse("owner/name@v2#one-frame") == ModelName("owner/name", "v2", True)
    odd = tmp_path / "a@b#c"
    odd.mkdir()
    assert ModelName.parse(str(odd)) == ModelName(str(odd))
    assert ModelName.parse(f"{odd}#one-frame") == ModelName(str(odd), None, True)
    with pytest.raises(ModelUnavailableError):
        ModelName.parse("owner/name#two-frames")
    assert public_name(str(odd)) == "a@b#c"
    assert public_name("owner/name@v2") == "owner/name@v2"


def test_one_frame_turns_tiles_off(models: tuple[Path, Path], tmp_path: Path) -> None:
    _, processor = load_pretrained(f"{models[0]}#one-frame")
    assert processor.image_processor.do_image_splitting is False
