"""What of a draft is tried next, token by token, by hand."""

from __future__ import annotations

from heliograph.vlm.verification import _agreement, _Rest

DRAFT = [10, 11, 12, 13, 14, 11, 16, 17]


def test_after_another_word_the_draft_goes_on_behind_it() -> None:
    rest = _Rest(DRAFT, 2)  # something else stands in the place of 12
    assert rest.after(99) == [13, 14, 11, 16, 17]
    rest.agreed(3)  # 13, 14, 11 came true, 16 did not
    assert rest.after(98) == [17]
    rest.agreed(1)
    assert rest.after(97) == []


def test_a_draft_that_holds_goes_on_in_its_order_whatever_is_said() -> None:
    """11 stands at places 1 and 5 as well."""
    assert _Rest(DRAFT, 2).after(11) == [13, 14, 11, 16, 17]  # nothing was tried yet
    for count, following in ((1, [11, 16, 17]), (2, [16, 17])):
        rest = _Rest(DRAFT, 2)
        rest.after(99)
        rest.agreed(count)  # 13, or 13 and 14, came true
        assert rest.after(11) == following


def test_where_a_try_failed_the_draft_goes_on_at_the_nearest_same_token() -> None:
    rest = _Rest(DRAFT, 2)
    rest.after(99)
    rest.agreed(0)
    assert rest.after(11) == [12, 13, 14, 11, 16, 17]  # from place 3: the one at 1 is as near as that at 5, and first
    rest.agreed(0)
    assert rest.after(17) == []
    rest.agreed(0)
    assert rest.after(11) == [16, 17]  # from place 8 the one at 5 is the nearest
    rest.agreed(0)
    assert rest.after(99) == [17]  # nowhere in the draft: one place on


def test_at_most_sixteen_tokens_are_tried_at_once() -> None:
    draft = list(range(100, 140))
    rest = _Rest(draft, 3)
    assert rest.after(0) == draft[4:20]
    rest.agreed(16)
    assert rest.after(0) == draft[21:37]


def test_agreement_ends_at_the_first_difference() -> None:
    assert _agreement([1, 2, 3], [1, 2, 3, 9]) == 3
    assert _agreement([1, 2, 3], [1, 5, 3]) == 1
    assert _agreement([1, 2, 3], [0]) == 0
    assert _agreement([], [4]) == 0
