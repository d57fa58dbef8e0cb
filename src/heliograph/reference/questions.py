"""Questions about scenes, with exact answers, in several wordings each.

Only questions with one right answer are asked: "the colour of the star" where there is one star, a position
where the centre is clear of the lines between the nine regions, a relation where the two are well apart.
Existence is balanced yes/no with adversarial absences (POPE, arXiv 2305.10355): half of the absent things
share their shape or colour with something that is there.
"""

from __future__ import annotations

from collections.abc import Callable

from heliograph.boxes import PixelBox
from heliograph.reference.scenes import (
    COLOURS,
    SHAPES,
    Plate,
    SceneObject,
    ScenePlan,
    SeededChoices,
    is_clear_of_borders,
    region_words,
)
from heliograph.types import QuestionRecord

TASKS = (
    "existence",
    "colour",
    "shape",
    "count",
    "position",
    "relation",
    "large-print",
    "small-print",
    "description",
)
CROP_SIZE = 128
_RELATION_GAP = 56
_QUESTION_SALT = 0x5EED0
_COUNT_SALT = 0xC0047

WORDINGS: dict[str, tuple[str, ...]] = {
    "existence": (
        "is there {a} {thing} in the picture?",
        "can you see {a} {thing}?",
        "does the photo show {a} {thing}?",
    ),
    "colour": (
        "what colour is the {thing}?",
        "which colour does the {thing} have?",
        "the {thing} is of what colour?",
    ),
    "shape": ("what shape is the {thing}?", "which shape does the {thing} have?", "what is the {thing}?"),
    "count": ("how many {things} are there?", "count the {things}.", "how many {things} can you see?"),
    "position": ("where is the {thing}?", "in which part of the picture is the {thing}?", "locate the {thing}."),
    "relation-x": (
        "is the {thing} left or right of the {other}?",
        "on which side of the {other} is the {thing}, left or right?",
    ),
    "relation-y": (
        "is the {thing} above or below the {other}?",
        "compared with the {other}, is the {thing} above or below?",
    ),
    "large-print": ("what does the large sign say?", "read the large sign.", "which text is on the large sign?"),
    "small-print": ("what does the small sign say?", "read the small sign.", "which text is on the small sign?"),
    "description": ("describe the picture.", "what is in the picture?", "list everything in the photo."),
}


def questions(plan: ScenePlan, *, round_number: int = 0) -> tuple[QuestionRecord, ...]:
    """At most one question per task about the scene (tasks that it cannot serve are left out).

    Args:
        plan: the scene's plan (``Scene.plan``).
        round_number: further rounds ask about other things in other words; training uses many, the
            benchmark uses round 0.
    """
    choose = SeededChoices((plan.seed << 8) ^ _QUESTION_SALT ^ (round_number * 0x9E3779B1))
    found = (maker(plan, choose) for maker in _MAKERS)
    return tuple(record for record in found if record is not None)


def count_questions(plan: ScenePlan, round_number: int) -> tuple[QuestionRecord, ...]:
    """The count question of another round, alone; training asks more of these than of the others."""
    choose = SeededChoices((plan.seed << 8) ^ _COUNT_SALT ^ (round_number * 0x9E3779B1))
    record = _ask_count(plan, choose)
    return () if record is None else (record,)


def _record(
    plan: ScenePlan, choose: SeededChoices, task: str, answer: str, box: SceneObject | Plate | None = None, **words: str
) -> QuestionRecord:
    wording = choose.pick(WORDINGS[task])
    return QuestionRecord(
        image_id=f"scene-{plan.seed}",
        task=task.removesuffix("-x").removesuffix("-y"),
        question=wording.format(**words),
        answer=answer,
        box=None if box is None else _box_of(box),
    )


def _box_of(thing: SceneObject | Plate) -> PixelBox:
    if isinstance(thing, Plate):
        return thing.box
    r = thing.radius
    return PixelBox(max(thing.x - r, 0), max(thing.y - r, 0), thing.x + r, thing.y + r)


def _full_name(thing: SceneObject) -> str:
    return f"{thing.colour} {thing.shape}"


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _unique_name(plan: ScenePlan, thing: SceneObject, choose: SeededChoices) -> str:
    """The object's shape alone where it is the only one of its shape, sometimes; else colour and shape."""
    alone = sum(o.shape == thing.shape for o in plan.objects) == 1
    return thing.shape if alone and choose.chance(0.5) else _full_name(thing)


def _ask_existence(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    """Ask for existence; yes and no are equally likely, for full names and for bare shapes."""
    bare = choose.chance(0.3)
    present = choose.chance(0.5)
    thing = choose.pick(plan.objects)
    if present:
        name = thing.shape if bare else _full_name(thing)
        return _record(plan, choose, "existence", "yes", thing, a=_article(name), thing=name)
    if bare:
        absent = [s for s in SHAPES if all(o.shape != s for o in plan.objects)]
        name = choose.pick(absent)
    else:
        name = _absent_pair(plan, choose, thing)
    return _record(plan, choose, "existence", "no", a=_article(name), thing=name)


def _absent_pair(plan: ScenePlan, choose: SeededChoices, thing: SceneObject) -> str:
    taken = {(o.colour, o.shape) for o in plan.objects}
    kind = choose.integer(0, 3)  # 0: same shape, 1: same colour, 2 and 3: anything
    while True:
        colour = thing.colour if kind == 1 else choose.pick(tuple(COLOURS))
        shape = thing.shape if kind == 0 else choose.pick(SHAPES)
        if (colour, shape) not in taken:
            return f"{colour} {shape}"


def _ask_colour(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    alone = [o for o in plan.objects if sum(p.shape == o.shape for p in plan.objects) == 1]
    if not alone:
        return None
    thing = choose.pick(alone)
    return _record(plan, choose, "colour", thing.colour, thing, thing=thing.shape)


def _ask_shape(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    alone = [o for o in plan.objects if sum(p.colour == o.colour for p in plan.objects) == 1]
    if not alone:
        return None
    thing = choose.pick(alone)
    return _record(plan, choose, "shape", thing.shape, thing, thing=f"{thing.colour} object")


def _ask_count(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    kind = choose.integer(0, 3)
    if kind == 0:
        return _record(plan, choose, "count", str(len(plan.objects)), things="objects")
    thing = choose.pick(plan.objects)
    if kind == 1:
        number = sum(o.colour == thing.colour for o in plan.objects)
        return _record(plan, choose, "count", str(number), things=f"{thing.colour} objects")
    shape = choose.pick(SHAPES) if choose.chance(0.25) else thing.shape
    number = sum(o.shape == shape for o in plan.objects)
    return _record(plan, choose, "count", str(number), things=plural(shape))


def plural(shape: str) -> str:
    """``cross`` to ``crosses``, ``star`` to ``stars``."""
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def _ask_position(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    clear = [o for o in plan.objects if is_clear_of_borders(o.x, o.y)]
    if not clear:
        return None
    thing = choose.pick(clear)
    answer = " ".join(region_words(thing.x, thing.y))
    return _record(plan, choose, "position", answer, thing, thing=_unique_name(plan, thing, choose))


def _ask_relation(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    for _ in range(12):
        one, other = choose.pick(plan.objects), choose.pick(plan.objects)
        sideways = choose.chance(0.5)
        gap = one.x - other.x if sideways else one.y - other.y
        if one is other or abs(gap) < _RELATION_GAP:
            continue
        words = ("left", "right") if sideways else ("above", "below")
        task = "relation-x" if sideways else "relation-y"
        names = {"thing": _unique_name(plan, one, choose), "other": _unique_name(plan, other, choose)}
        return _record(plan, choose, task, words[gap > 0], None, **names)
    return None


def _ask_large_print(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    return _ask_print(plan, choose, large=True)


def _ask_small_print(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    return _ask_print(plan, choose, large=False)


def _ask_print(plan: ScenePlan, choose: SeededChoices, *, large: bool) -> QuestionRecord | None:
    for plate in plan.plates:
        if plate.large == large:
            return _record(plan, choose, "large-print" if large else "small-print", plate.text, plate)
    return None


def _ask_description(plan: ScenePlan, choose: SeededChoices) -> QuestionRecord | None:
    return _record(plan, choose, "description", describe(plan))


def describe(plan: ScenePlan) -> str:
    """The scene in words, region by region from the top left: ``"a red star top left, ..."``.

    Small print is left out: a viewer of the whole scene cannot read it.
    """
    items: list[tuple[int, int, int, str]] = []
    for thing in plan.objects:
        items.append(_item(thing.x, thing.y, f"{_article(thing.colour)} {_full_name(thing)}"))
    for plate in plan.plates:
        if plate.large:
            x, y = (plate.box.left + plate.box.right) // 2, (plate.box.top + plate.box.bottom) // 2
            items.append(_item(x, y, f"a sign {plate.text}"))
    return ", ".join(text for *_, text in sorted(items)) + "."


def _item(x: int, y: int, name: str) -> tuple[int, int, int, str]:
    row, column = region_words(x, y)
    order = (("top", "middle", "bottom").index(row), ("left", "center", "right").index(column), x)
    return (*order, f"{name} {row} {column}")


def crop_box(box: PixelBox, size: int, side: int = CROP_SIZE) -> PixelBox:
    """The ``side`` x ``side`` window of a ``size`` x ``size`` photo centred on ``box`` as well as it fits."""
    left = min(max((box.left + box.right - side) // 2, 0), size - side)
    top = min(max((box.top + box.bottom - side) // 2, 0), size - side)
    return PixelBox(left, top, left + side, top + side)


_MAKERS: tuple[Callable[[ScenePlan, SeededChoices], QuestionRecord | None], ...] = (
    _ask_existence,
    _ask_colour,
    _ask_shape,
    _ask_count,
    _ask_position,
    _ask_relation,
    _ask_large_print,
    _ask_small_print,
    _ask_description,
)
