"""Which generation configs our loops follow, asked of made-up preparations; and when ``generate`` is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import GenerationConfig
from transformers.generation import (
    EosTokenCriteria,
    LogitsProcessorList,
    MaxLengthCriteria,
    MaxTimeCriteria,
    SuppressTokensLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)

from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.generation_rules import GenerationRules, RowRules, _is_greedy, _Prepared

ENDS = [EosTokenCriteria(eos_token_id=1), MaxLengthCriteria(max_length=9)]
SUPPRESS = SuppressTokensLogitsProcessor([2], device="cpu")
GUIDED = UnbatchedClassifierFreeGuidanceLogitsProcessor(1.5, SimpleNamespace(), torch.ones(1, 1))  # type: ignore[arg-type]

GREEDY: list[dict[str, Any]] = [{}, {"cache_implementation": "dynamic"}, {"use_cache": True}, {"use_cache": None}]
OTHERS: list[dict[str, Any]] = [
    {"num_beams": 3},
    {"do_sample": True},
    {"use_cache": False},
    {"cache_implementation": "static"},
    {"token_healing": True},
]


def prepared(options: dict[str, Any], criteria: Any = ENDS, processors: Any = ()) -> _Prepared:
    return _Prepared(LogitsProcessorList(processors), criteria, GenerationConfig(**options))


@pytest.mark.parametrize("options", GREEDY)
def test_a_choice_of_one_token_after_the_other_is_ours(options: dict[str, Any]) -> None:
    assert _is_greedy(prepared(options))
    assert _is_greedy(prepared(options, processors=[SUPPRESS]))
    assert _is_greedy(prepared(options, criteria=[]))


@pytest.mark.parametrize("options", OTHERS)
def test_each_other_setting_alone_is_not(options: dict[str, Any]) -> None:
    assert not _is_greedy(prepared(options))


def test_nor_is_another_end_or_a_processor_that_asks_the_model() -> None:
    assert not _is_greedy(prepared({}, criteria=[*ENDS, MaxTimeCriteria(9.0)]))
    assert not _is_greedy(prepared({}, processors=[SUPPRESS, GUIDED]))


class Model:
    """Prepares with the processors that a test names, and counts how often."""

    device = "cpu"

    def __init__(self) -> None:
        self.generation_config = GenerationConfig(suppress_tokens=None)
        self.processors: list[Any] = []
        self.asked: list[dict[str, Any]] = []

    def generate(self, *, custom_generate: Any, **options: Any) -> Any:
        self.asked.append(options)
        return custom_generate(
            self, options["input_ids"], LogitsProcessorList(self.processors), ENDS, generation_config=GenerationConfig()
        )


def test_a_config_is_prepared_once_and_again_when_it_has_changed() -> None:
    model = Model()
    rules = GenerationRules(model)
    assert rules.plain
    assert rules.plain
    assert rules.row([4, 5], 7) is None
    assert [one["input_ids"].shape for one in model.asked] == [(1, 1)]
    model.generation_config.suppress_tokens = [2]
    model.processors = [SUPPRESS]
    assert not rules.plain
    assert not rules.plain
    assert len(model.asked) == 2
    model.generation_config.suppress_tokens.append(3)  # within the same list
    assert not rules.plain
    assert len(model.asked) == 3


def test_a_row_is_prepared_with_its_prompt_and_length() -> None:
    model = Model()
    model.processors = [SUPPRESS]
    row = GenerationRules(model).row([4, 5], 7)
    asked = model.asked[-1]
    assert asked["input_ids"].tolist() == [[4, 5]]
    assert asked["attention_mask"].tolist() == [[1, 1]]
    assert (asked["do_sample"], asked["max_new_tokens"], asked["num_return_sequences"]) == (False, 7, 1)
    assert row is not None
    assert row.choose(torch.tensor([0.0, 1.0, 9.0])) == 1  # 2 is suppressed


def test_a_config_that_is_not_ours_is_refused_every_time() -> None:
    model = Model()
    model.processors = [GUIDED]
    rules = GenerationRules(model)
    for _ in range(2):
        with pytest.raises(ModelUnsupportedError):
            _ = rules.plain


def test_settings_that_contradict_each_other_are_named() -> None:
    def contradicts(**_: Any) -> None:
        raise ValueError("both at once")

    model: Any = Model()
    model.generate = contradicts
    with pytest.raises(ModelUnsupportedError) as caught:
        _ = GenerationRules(model).plain
    assert caught.value.__notes__ == ["its generation_config.json cannot be followed: both at once."]


def test_what_was_said_counts_for_the_next_token_and_logits_stay() -> None:
    seen: list[list[int]] = []

    def note(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        seen.append(ids[0].tolist())
        assert scores.shape == (1, 3)
        scores[0, ids[0, -1]] = -9.0
        return scores

    row = RowRules(LogitsProcessorList([note]), torch.tensor([[0, 2]]))
    logits = torch.tensor([0.0, 1.0, 2.0])
    assert [row.choose(logits) for _ in range(3)] == [1, 2, 1]
    assert seen == [[0, 2], [0, 2, 1], [0, 2, 1, 2]]
    assert logits.tolist() == [0.0, 1.0, 2.0]
