"""Attention of the last rows against PyTorch's own attention, and which decoders are read at all; no checkpoint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from heliograph.controllers.region.find import RegionSetting
from heliograph.errors import AnsweringFailedError, ModelUnsupportedError, ShapeError
from heliograph.types import Grid, VisualTokens
from heliograph.vlm import attention
from heliograph.vlm.attention import AttentionFinder, _rows_of, head_counts, head_maps, layer_maps, watching

LENGTH, SIZE = 7, 4


def drawn(heads: int, seed: int) -> Tensor:
    return torch.randn(1, heads, LENGTH, SIZE, generator=torch.Generator().manual_seed(seed))


def judged(query: Tensor, key: Tensor, allowed: Tensor, scale: float | None = None) -> Tensor:
    """(H, L, L) weights of PyTorch's attention: those that it gives to the rows of an identity matrix."""
    keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    values = torch.eye(LENGTH).expand(1, query.shape[1], LENGTH, LENGTH)
    return scaled_dot_product_attention(query, keys, values, attn_mask=allowed, scale=scale)[0]


CAUSAL = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
NEAR = CAUSAL & ~torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril(-3)  # itself and the two before it
ODD = CAUSAL.clone()
ODD[5, 1] = ODD[6, 0] = False


@pytest.mark.parametrize("rows", [1, 3, LENGTH])
@pytest.mark.parametrize("heads_of_keys", [1, 2, 4])
def test_rows_are_those_of_causal_attention(rows: int, heads_of_keys: int) -> None:
    query, key = drawn(4, 1), drawn(heads_of_keys, 2)
    found = _rows_of(rows, query, key, None, None, {})
    torch.testing.assert_close(found, judged(query, key, CAUSAL)[:, -rows:])


@pytest.mark.parametrize("options", [{"sliding_window": 3}, {"sliding_window": None}, {}])
def test_a_window_ends_where_the_layers_does(options: dict[str, Any]) -> None:
    query, key = drawn(2, 3), drawn(2, 4)
    allowed = NEAR if options.get("sliding_window") else CAUSAL
    torch.testing.assert_close(_rows_of(LENGTH, query, key, None, 0.3, options), judged(query, key, allowed, 0.3))


def test_masks_of_both_kinds_count() -> None:
    query, key = drawn(2, 5), drawn(2, 6)
    wanted = judged(query, key, ODD, 1.5)[:, -2:]
    wide = torch.zeros(1, 1, LENGTH, LENGTH + 2, dtype=torch.bool)  # some caches allot more keys than there are
    wide[0, 0, :, :LENGTH] = ODD
    added = torch.zeros(wide.shape).masked_fill(~wide, -torch.inf)
    for mask in (wide, added):
        torch.testing.assert_close(_rows_of(2, query, key, mask, 1.5, {}), wanted)


@pytest.mark.parametrize(
    ("rows", "query", "key", "options"),
    [
        (0, drawn(2, 1), drawn(2, 1), {}),
        (LENGTH + 1, drawn(2, 1), drawn(2, 1), {}),
        (1, drawn(2, 1).repeat(2, 1, 1, 1), drawn(2, 1).repeat(2, 1, 1, 1), {}),
        (1, drawn(2, 1)[:, :, -2:], drawn(2, 1), {}),
        *[(1, drawn(2, 1), drawn(2, 1), {name: 1.0}) for name in ("softcap", "s_aux", "position_bias")],
    ],
)
def test_what_is_no_whole_sequence_or_is_bent_is_refused(
    rows: int, query: Tensor, key: Tensor, options: dict[str, Any]
) -> None:
    with pytest.raises(ModelUnsupportedError):
        _rows_of(rows, query, key, None, None, options)


# ---- which decoders --------------------------------------------------------------------------------------
class TextConfig:
    def __init__(self, layers: int) -> None:
        self.num_hidden_layers = layers


class Layer(nn.Module):
    """Attention as far as it is looked at: three heads of four channels."""

    def __init__(self, config: TextConfig, number: Any, **more: Any) -> None:
        super().__init__()
        self.config, self.layer_idx, self.head_dim, self.scaling = config, number, 4, 0.5
        self.q_proj, self.k_proj = nn.Linear(2, 12), nn.Linear(2, 12)
        for name, value in more.items():
            setattr(self, name, value)


class Half(nn.Module):
    """A part with the decoder's configuration and a layer's number that is no attention."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config, self.layer_idx, self.head_dim = config, 0, 4


def decoder(count: int, numbers: list[Any], **more: Any) -> Any:
    text = TextConfig(count)
    model = nn.ModuleList([Half(text), *(Layer(text, number, **more) for number in numbers)])
    model.config = SimpleNamespace(get_text_config=lambda: text)  # type: ignore[assignment]
    return model


def test_layers_are_found_in_any_order() -> None:
    assert head_counts(decoder(3, [2, 0, 1])) == (3, 3, 3)


@pytest.mark.parametrize(
    ("numbers", "readable"), [([], 0), ([0, 1], 2), ([0, 1, 3], 3), ([0, 1, 2, 2], 3), ([0, 1, None], 2)]
)
def test_a_decoder_that_is_read_in_part_is_refused(numbers: list[Any], readable: int) -> None:
    with pytest.raises(ModelUnsupportedError) as caught:
        head_counts(decoder(3, numbers))
    assert caught.value.__notes__ == [f"{readable} of its 3 decoder layers have an attention that can be read."]


def test_one_layer_that_caps_its_scores_is_enough() -> None:
    model = decoder(2, [0, 1])
    assert head_counts(model) == (3, 3)
    model[2].attn_logit_softcapping = 30.0
    with pytest.raises(ModelUnsupportedError):
        head_counts(model)


def test_there_is_no_layer_behind_the_last_one() -> None:
    for layer in (-1, 2):
        with pytest.raises(ModelUnsupportedError), watching(decoder(2, [0, 1]), layer):
            raise AssertionError


# ---- maps ------------------------------------------------------------------------------------------------
PLACE, GRID = 9, Grid(2, 3)
TOKENS = VisualTokens(np.ones((6, 2), np.float32), GRID)


class Watched:
    """A model whose passes leave behind what a test says: rows of attention over ten positions, and ids."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, weights: Tensor | None, ids: list[int] | None) -> None:
        self.torch_model = SimpleNamespace(config=SimpleNamespace(image_token_id=PLACE), device="cpu")
        self.rows: list[int] = []
        self.asked: list[tuple[Any, ...]] = []
        watched = self

        class Context:
            def __init__(self, model: Any, layer: int, rows: int) -> None:
                watched.rows.append(rows)

            def __enter__(self) -> Any:
                return SimpleNamespace(weights=weights, input_ids=None if ids is None else torch.tensor(ids))

            def __exit__(self, *_: Any) -> None:
                pass

        monkeypatch.setattr(attention, "watching", Context)

    def answer_logits(self, question: str, values: Tensor, grid: Grid, answer_ids: Any) -> None:
        self.asked.append((question, tuple(values.shape), grid, tuple(answer_ids)))


IDS = [1, *[PLACE] * 6, 2, 3, 4]


def test_a_map_is_cut_out_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.arange(4 * 3 * 10, dtype=torch.float32).reshape(4, 3, 10)  # (H, rows, L)
    model: Any = Watched(monkeypatch, weights, IDS)
    found = head_maps(model, "what?", TOKENS, layer=0, prompt_rows=2, answer_ids=[7])
    assert (model.rows, model.asked) == ([3], [("what?", (6, 2), GRID, (7,))])
    np.testing.assert_array_equal(found, weights[:, :, 1:7].transpose(0, 1).reshape(3, 4, 2, 3))
    for made in (head_maps(model, "what?", TOKENS, layer=0), layer_maps(model, "what?", TOKENS, layers=(0,))[0]):
        np.testing.assert_array_equal(made, found)
    assert model.rows == [3, 1, 1]  # one prompt position, where nothing else is asked for


def test_maps_that_cannot_be_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    good = torch.ones(1, 1, 10)
    bad = good.clone()
    bad[0, 0, 9] = torch.nan
    for weights, ids, error in (
        (None, IDS, ModelUnsupportedError),
        (good, None, ModelUnsupportedError),
        (good, [PLACE, *IDS[1:]], ModelUnsupportedError),
        (good, [1, 1, *IDS[2:]], ModelUnsupportedError),
        (bad, IDS, AnsweringFailedError),
    ):
        with pytest.raises(error):
            layer_maps(Watched(monkeypatch, weights, ids), "what?", TOKENS, layers=(0,))  # type: ignore[arg-type]
    nameless: Any = Watched(monkeypatch, good, IDS)
    nameless.torch_model.config = SimpleNamespace()
    with pytest.raises(ModelUnsupportedError):
        layer_maps(nameless, "what?", TOKENS, layers=(0,))
    model: Any = Watched(monkeypatch, good, IDS)
    two = VisualTokens(np.ones((12, 2), np.float32), Grid(2, 3, 2))
    for tokens, layers in ((TOKENS, ()), (two, (0,))):
        with pytest.raises(ShapeError):
            layer_maps(model, "what?", tokens, layers=layers)


def test_the_generic_prompt_is_asked_once_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def maps(model: Any, question: str, tokens: VisualTokens, *, layer: int, prompt_rows: int = 1) -> Any:
        asked.append((question, prompt_rows))
        return np.ones((prompt_rows, 3, 2, 3), np.float32)

    monkeypatch.setattr(attention, "head_maps", maps)
    model: Any = SimpleNamespace(torch_model=decoder(2, [0, 1]))
    finder = AttentionFinder(
        model, RegionSetting(1, "describe it.", prompt_rows=2, own=(1.0,) * 6, generic=(-1.0,) * 3)
    )
    other = VisualTokens(TOKENS.values, GRID)
    for tokens in (TOKENS, TOKENS, other, other, TOKENS):
        assert finder.relative("what?", tokens).shape == (2, 3)
    generic = [place for place, one in enumerate(asked) if one == ("describe it.", 1)]
    assert generic == [1, 4, 7]  # of each photo with its first question, and again when it comes back
    assert asked.count(("what?", 2)) == 5
