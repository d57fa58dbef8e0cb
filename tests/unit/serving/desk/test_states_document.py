"""``docs/questions.md`` says what the table of the desk says, word for word."""

from __future__ import annotations

import re
from pathlib import Path

from heliograph.serving.desk.states import (
    OPEN_STATES,
    TABLE,
    TIME_LIMITS,
    Effect,
    QuestionEvent,
    QuestionState,
    Transition,
)

DOCUMENT = Path(__file__).parents[4] / "docs" / "questions.md"
BEGINNING, ENDING = QuestionState.WAITING, QuestionState.DONE


def written(title: str) -> list[list[str]]:
    section = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in row] for row in rows[2:]]


def names(cell: str) -> list[str]:
    return [] if cell == "-" else [name.strip(" `") for name in cell.split(",")]


def test_events_and_effects_are_written_as_the_code_says_them() -> None:
    assert written("Events") == [[one.name, one.value] for one in QuestionEvent]
    assert written("Effects") == [[one.name, one.value] for one in Effect]


def test_every_row_of_the_table_is_written_and_no_other() -> None:
    found = {}
    for states, events, effects, following in written("The table"):
        for state in names(states):
            for event in names(events):
                key = QuestionState(state), QuestionEvent[event]
                assert key not in found, f"{state}, {event}: written twice"
                after = QuestionState(state if following == "same" else following)
                found[key] = Transition(after, tuple(Effect[name] for name in names(effects)))
    assert found == TABLE


def test_the_time_limits_are_written() -> None:
    found = {QuestionState(state): QuestionEvent[event] for states, event in written("Time") for state in names(states)}
    assert found == TIME_LIMITS


def test_every_state_is_explained() -> None:
    assert [state for state, _ in written("States")] == [state.value for state in QuestionState]


# ---- what any such table must be ---------------------------------------------------------------------------------
def test_every_question_can_come_to_an_end_and_no_end_is_left() -> None:
    reached = {BEGINNING}
    while more := {t.state for (state, _), t in TABLE.items() if state in reached} - reached:
        reached |= more
    assert reached == set(QuestionState)
    assert ENDING not in {state for state, _ in TABLE}
    for state in OPEN_STATES:  # whatever it waits for, the device can give it up, lose its photo, or break off
        for event in (QuestionEvent.CANCELLED, QuestionEvent.PHOTO_GONE, QuestionEvent.INTERRUPTED):
            assert TABLE[state, event] == Transition(ENDING)


def test_who_still_waits_is_told_how_it_ended() -> None:
    """Every row that ends a question sends a final answer or an error, but those where nobody waits any more."""
    silent = {QuestionEvent.CANCELLED, QuestionEvent.PHOTO_GONE, QuestionEvent.INTERRUPTED}
    for (_, event), transition in TABLE.items():
        told = [effect for effect in transition.effects if effect in (Effect.SEND_FINAL, Effect.SEND_ERROR)]
        assert len(told) == (transition.state is ENDING and event not in silent), event
        assert not told or transition.effects[-1] is told[0]  # what it says is settled by then


def test_every_event_and_every_effect_is_in_the_table() -> None:
    assert {event for _, event in TABLE} == set(QuestionEvent)
    assert {effect for transition in TABLE.values() for effect in transition.effects} == set(Effect)


def test_every_time_limit_ends_something() -> None:
    assert all((state, event) in TABLE for state, event in TIME_LIMITS.items())


def test_the_drawing_in_the_module_names_every_state() -> None:
    import heliograph.serving.desk.states as module

    drawing = re.sub(r"[-'>]+", ">", module.__doc__ or "")
    assert all(state.value in drawing for state in QuestionState)
