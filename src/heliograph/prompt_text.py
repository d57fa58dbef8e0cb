"""Questions as plain text: control tokens written out in one lose their power, in the cloud and on the device alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence


def neutralised(question: str, control_names: Sequence[str]) -> str:
    """``question`` with a space put into every written-out control token, so that it reads as plain text.

    One pass from left to right, in which what is kept never holds a control token; so it ends whatever the tokens are.
    A space goes behind a token's first character. Where the text would hold a token even then (there are tokens that
    hold spaces, or nothing else), it goes before the last one, and where that does not help, the last one is left out.

    Args:
        question: any text.
        control_names: spellings of the control tokens. Those of one character or none stay as they are.
    """
    names: dict[int, set[str]] = defaultdict(set)
    for name in control_names:
        if len(name) > 1:
            names[len(name)].add(name)
    if not any(name in question for group in names.values() for name in group):
        return question
    ends = frozenset(name[-1] for group in names.values() for name in group)
    longest = max(names)
    kept: list[str] = []
    for character in question:
        kept.append(character)
        if character not in ends:
            continue
        found = _ending("".join(kept[-longest:]), names)
        if found:
            # Further left, nothing changes: a token that the space makes lies within this much of the end.
            reach = min(len(kept), 2 * longest)
            tail = "".join(kept[-reach:])
            kept[-reach:] = _broken(tail, found, names)
    return "".join(kept)


def _broken(tail: str, found: int, names: Mapping[int, set[str]]) -> str:
    """``tail``, which ends with a token of ``found`` characters and holds no other, without it."""
    begin = len(tail) - found + 1
    for broken in (f"{tail[:begin]} {tail[begin:]}", f"{tail[:-1]} {tail[-1]}"):
        if not any(_ending(broken[:end], names) for end in range(begin, len(broken) + 1)):
            return broken
    return tail[:-1]


def _ending(text: str, names: Mapping[int, set[str]]) -> int:
    """Length of the longest token that ``text`` ends with, 0 for none."""
    return max((size for size, group in names.items() if text[-size:] in group), default=0)
