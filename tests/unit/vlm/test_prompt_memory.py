"""Prompts about photos that are not at hand: the last sixteen, those of a mebibyte at most, in next to no memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from heliograph.vlm.prompt_memory import PromptMemory, _bytes_held, _without_copies

SIZES = ((4, 3),)


class Maker:
    def __init__(self, **made: Any) -> None:
        self.made, self.asked = made, list[str]()

    def __call__(self, question: str, sizes: Any) -> dict[str, Any]:
        assert sizes == SIZES
        self.asked.append(question)
        return dict(self.made)


def test_the_last_sixteen_are_kept() -> None:
    maker = Maker(input_ids=torch.ones(1, 3))
    memory = PromptMemory(maker)
    for _ in range(2):
        for number in range(16):
            memory.of(str(number), SIZES)
    assert len(maker.asked) == 16
    memory.of("16", SIZES)
    for number in range(1, 17):
        memory.of(str(number), SIZES)
    assert len(maker.asked) == 17
    memory.of("0", SIZES)  # the oldest went
    assert len(maker.asked) == 18
    memory.forget()
    memory.of("0", SIZES)
    assert len(maker.asked) == 19


def test_the_dictionary_is_the_callers() -> None:
    memory = PromptMemory(Maker(input_ids=torch.ones(1, 3), more=7))
    memory.of("a", SIZES).clear()
    assert sorted(memory.of("a", SIZES)) == ["input_ids", "more"]


@pytest.mark.parametrize(("values", "times"), [(1 << 17, 1), ((1 << 17) + 1, 2)])
def test_a_prompt_of_more_than_a_mebibyte_is_made_anew(values: int, times: int) -> None:
    """In whole numbers of eight bytes each; the other tensor takes none."""
    maker = Maker(input_ids=torch.arange(values), none=torch.zeros(0))
    memory = PromptMemory(maker)
    for _ in range(2):
        assert torch.equal(memory.of("a", SIZES)["input_ids"], torch.arange(values))
    assert len(maker.asked) == times


def test_one_value_over_and_over_takes_the_memory_of_one() -> None:
    grey = torch.full((1, 3, 40, 50), 0.25)
    slim = _without_copies(grey)
    assert torch.equal(slim, grey)
    assert (_bytes_held(grey), _bytes_held(slim)) == (24000, 4)
    other = grey.clone()
    other[0, 2, 39, 49] = 0.5
    for same in (other, torch.full((9,), 3), torch.zeros(0, 3), "text"):
        assert _without_copies(same) is same
    assert _bytes_held("text") == 0
