"""The layer and heads that point at known regions are found among those that do not."""

from dataclasses import replace

import numpy as np
import pytest

from heliograph.boxes import PixelBox
from heliograph.codec.bundle import Bundle
from heliograph.controllers.region.find import RegionSetting
from heliograph.errors import CodecNotFittedError
from heliograph.reference.render import render_scene
from heliograph.training.calibration.region_choice import (
    LookSample,
    choose_region_setting,
    collect_looks,
    fit_exponents,
)
from heliograph.vlm.attention import head_maps
from heliograph.vlm.model import VisionLanguageModel

LAYERS, HEADS, SIDE = 2, 2, 6
GENERIC = "describe the picture."


def samples(count, *, pointing=(1, 0), known=True, seed=0):
    """One head points at a random cell of a 600 x 600 photo, at all four positions; the rest looks anywhere."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        own = rng.random((LAYERS, 4, HEADS, SIDE, SIDE)).astype(np.float32) ** 2
        row, column = rng.integers(0, SIDE, 2)
        own[pointing[0], :, pointing[1], row, column] = 4.0
        generic = {GENERIC: rng.random((LAYERS, HEADS, SIDE, SIDE)).astype(np.float32) + 0.1}
        left, top = int(column) * 100 + 20, int(row) * 100 + 30
        box = PixelBox(left, top, left + 60, top + 40)
        made.append(LookSample(own, generic, (600, 600), box if known else None))
    return made


@pytest.mark.parametrize("pointing", [(0, 1), (1, 0)])
def test_the_layer_and_head_that_point_are_chosen(pointing):
    best, tried = choose_region_setting(samples(40, pointing=pointing), least_share=0.2)
    assert best.setting.layer == pointing[0]
    assert best.hit_rate > 0.9
    assert tried[0] == best
    assert [one.hit_rate for one in tried] == sorted((one.hit_rate for one in tried), reverse=True)
    powers = np.array(best.setting.own).reshape(best.setting.prompt_rows, HEADS).sum(axis=0)
    if best.setting.own:
        assert powers[pointing[1]] > abs(powers[1 - pointing[1]])


def test_exponents_are_judged_on_the_other_half():
    """Regions that nothing points at are found no more often than by chance, however many exponents are fitted."""
    rng = np.random.default_rng(3)
    blind = [
        LookSample(one.own, one.generic, one.photo_size, PixelBox(x, y, x + 40, y + 40))
        for one, (x, y) in zip(samples(60, seed=4), rng.integers(0, 560, (60, 2)).tolist(), strict=True)
    ]
    best, _ = choose_region_setting(blind, least_share=0.25)
    assert best.hit_rate < 0.3


def test_without_known_regions_contrast_decides_between_the_paper_s_settings():
    best, tried = choose_region_setting(samples(30, known=False), least_share=0.17)
    assert best.hit_rate is None
    assert not any(one.setting.own for one in tried)
    assert best.setting.layer == 1
    assert best.contrast == max(one.contrast for one in tried)


def test_the_same_samples_give_the_same_setting():
    first, again = (choose_region_setting(samples(24), least_share=0.17)[0] for _ in range(2))
    assert first == again


def test_too_few_samples_are_refused():
    with pytest.raises(CodecNotFittedError):
        choose_region_setting(samples(19), least_share=0.17)


def test_a_region_between_two_cells_draws_exponents_towards_both():
    pointed = samples(30)
    setting = RegionSetting(1, least_share=0.17)
    narrow = fit_exponents(setting, pointed)
    moved = [replace(s, box=s.box._replace(right=s.box.left + 160)) for s in pointed]
    assert 0 < fit_exponents(setting, moved).own[0] < narrow.own[0]  # half of the wanted cells are not pointed at


def test_maps_are_collected_as_the_cloud_sees_the_photo(reference_pair):
    model = VisionLanguageModel.load(str(reference_pair.model))
    bundle = Bundle.load(reference_pair.bundle)
    codec = bundle.codec(bundle.preferred_codec)
    photo = render_scene(8_000_003).image
    question = "read the small sign."
    (found,) = collect_looks(
        model, codec, [(photo, question, (1, 2, 3, 4))], max_bytes=100, generic_questions=[GENERIC]
    )
    encoded = codec.encode(model.encode_image(photo), max_bytes=100)
    tokens = codec.decode(encoded.header, encoded.segments)
    assert found.own.shape == (6, 4, 4, 8, 8)
    assert found.photo_size == (512, 512)
    np.testing.assert_allclose(found.own[5, -1], head_maps(model, question, tokens, layer=5)[0], atol=1e-5)
    np.testing.assert_allclose(found.generic[GENERIC][0], head_maps(model, GENERIC, tokens, layer=0)[0], atol=1e-5)
