"""Names of what the teacher knows, as people say them, and the words by which captions name the same."""

from __future__ import annotations

COCO = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 8: "truck", 9: "boat",
    10: "traffic light", 11: "fire hydrant", 13: "stop sign", 14: "parking meter", 15: "bench", 16: "bird", 17: "cat",
    18: "dog", 19: "horse", 20: "sheep", 21: "cow", 22: "elephant", 23: "bear", 24: "zebra", 25: "giraffe",
    27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee", 35: "pair of skis",
    36: "snowboard", 37: "ball", 38: "kite", 39: "baseball bat", 40: "baseball glove", 41: "skateboard",
    42: "surfboard", 43: "tennis racket", 44: "bottle", 46: "wine glass", 47: "cup", 48: "fork", 49: "knife",
    50: "spoon", 51: "bowl", 52: "banana", 53: "apple", 54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot",
    58: "hot dog", 59: "pizza", 60: "donut", 61: "cake", 62: "chair", 63: "couch", 64: "plant", 65: "bed",
    67: "table", 70: "toilet", 72: "screen", 73: "laptop", 74: "mouse", 75: "remote control", 76: "keyboard",
    77: "phone", 78: "microwave", 79: "oven", 80: "toaster", 81: "sink", 82: "refrigerator", 84: "book", 85: "clock",
    86: "vase", 87: "pair of scissors", 88: "teddy bear", 89: "hair dryer", 90: "toothbrush",
}  # fmt: skip
"""Categories of COCO by number, in the words that questions use."""

PERSON, ANIMAL, VEHICLE = "person", "animal", "vehicle"

KINDS: dict[str, frozenset[str]] = {
    PERSON: frozenset(("person",)),
    ANIMAL: frozenset(("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")),
    VEHICLE: frozenset(("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat")),
}
"""Kinds that are asked for as such."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS_OF: dict[str, frozenset[str]] = {
    PERSON: _words(
        "person people man men woman women boy boys girl girls child children kid kids baby toddler toddlers lady "
        "ladies guy guys player players crowd someone male female adult adults teenager teenagers teen teens couple "
        "biker skier surfer snowboarder climber hiker runner cyclist skateboarder swimmer dancer performer rider "
        "worker musician band team family friends mother father"
    ),
    ANIMAL: _words(
        "animal animals dog dogs puppy puppies cat cats kitten kittens bird birds horse horses pony ponies cow cows "
        "bull bulls sheep lamb lambs goat goats poodle terrier greyhound greyhounds retriever collie shepherd "
        "dalmatian bulldog hound dachshund elephant elephants camel camels monkey monkeys duck ducks goose geese "
        "pigeon pigeons seagull seagulls swan swans chicken chickens fish deer bear bears zebra zebras giraffe giraffes"
    ),
    VEHICLE: _words(
        "vehicle vehicles car cars truck trucks bus buses bike bikes bicycle bicycles bmx motorcycle motorcycles "
        "motorbike motorbikes dirtbike dirtbikes scooter scooters boat boats ship ships sailboat sailboats canoe "
        "canoes kayak kayaks raft rafts train trains airplane airplanes plane planes jet jets helicopter helicopters "
        "van vans tractor tractors jeep jeeps atv atvs taxi taxis cab cabs"
    ),
    "dog": _words(
        "dog dogs puppy puppies poodle terrier greyhound greyhounds retriever collie dalmatian bulldog hound dachshund"
    ),
    "bicycle": _words("bicycle bicycles bike bikes cyclist bmx"),
    "motorcycle": _words("motorcycle motorcycles motorbike motorbikes dirtbike dirtbikes"),
    "airplane": _words("airplane airplanes plane planes jet jets"),
    "boat": _words("boat boats canoe canoes kayak kayaks raft rafts sailboat sailboats ship ships"),
    "bike": _words("bike bikes bicycle bicycles biker bikers cyclist bmx"),
    "man": _words("man men guy guys"),
    "woman": _words("woman women lady ladies"),
    "child": _words("child children kid kids toddler toddlers baby boy boys girl girls"),
    "people": _words("people men women children kids boys girls crowd group couple team friends family players"),
    "water": _words("water ocean sea lake river pool wave waves surf stream"),
    "beach": _words("beach beaches shore sand sandy"),
    "snow": _words("snow snowy"),
    "grass": _words("grass grassy lawn field"),
    "field": _words("field fields grass grassy meadow"),
    "rock": _words("rock rocks rocky cliff boulder boulders stone stones"),
    "mountain": _words("mountain mountains mountainside hill hills cliff"),
    "street": _words("street streets road sidewalk pavement"),
    "tree": _words("tree trees forest woods"),
    "ball": _words("ball balls football soccer basketball baseball volleyball"),
    "cat": _words("cat cats kitten kittens"),
    "bird": _words("bird birds duck ducks goose geese pigeon pigeons seagull seagulls swan swans chicken chickens"),
    "horse": _words("horse horses pony ponies"),
    "sheep": _words("sheep lamb lambs"),
    "cow": _words("cow cows bull bulls"),
    "car": _words("car cars taxi taxis cab cabs jeep jeeps"),
    "pair of skis": _words("ski skis"),
    "pair of scissors": _words("scissors"),
    "couch": _words("couch couches sofa sofas"),
    "screen": _words("screen screens television televisions tv monitor"),
    "phone": _words("phone phones cellphone cellphones telephone"),
    "cup": _words("cup cups mug mugs"),
    "plant": _words("plant plants flower flowers"),
    "grey": _words("grey gray"),
}
"""Words of captions by which a kind or a thing is there; of other things their own names and plurals."""

DETECTED_AS: dict[str, frozenset[str]] = {**KINDS, "bike": frozenset(("bicycle",))}
"""Names of :data:`COCO` under which a detector finds a kind or a thing; other things have their own."""

_PLURALS = {
    "person": "people",
    "sheep": "sheep",
    "broccoli": "broccoli",
    "mouse": "mice",
    "knife": "knives",
    "pair of skis": "pairs of skis",
    "pair of scissors": "pairs of scissors",
}

THINGS = (
    "man", "woman", "boy", "girl", "child", "people", "dog", "water", "grass", "field", "rock", "street", "beach",
    "ball", "mountain", "snow", "tree", "bike", "boat", "wall",
)  # fmt: skip
"""Twenty of the commonest things of captions; presence is judged by them, on photos that were not learnt from."""

TRIAL_WORDS = (
    "dog", "man", "woman", "girl", "boy", "child", "people", "water", "beach", "snow", "grass", "ball", "street",
    "bike", "red", "black", "white", "blue", "green", "yellow",
)  # fmt: skip
"""Twenty words, colours among them, each by itself: what a first trial was judged by."""

COLOURS = frozenset(("red", "black", "white", "blue", "green", "yellow", "brown", "orange", "pink", "purple", "grey"))
_SUBSTANCES = frozenset(("water", "snow", "grass", "people", "sand", "dirt"))


def words_for(thing: str) -> frozenset[str]:
    """Words of captions, in lower case, by which a thing is there; one may be a pair of words, as in
    :attr:`heliograph.training.field.photos.Photo.words`.

    >>> sorted(words_for("bench"))
    ['bench', 'benches']
    >>> sorted(words_for("traffic light"))
    ['traffic light', 'traffic lights']
    """
    return WORDS_OF.get(thing) or frozenset((thing, plural(thing)))


def plural(thing: str) -> str:
    """More than one of a thing of :data:`COCO`.

    >>> [plural(one) for one in ("dog", "wine glass", "sandwich", "toothbrush", "mouse", "pair of skis")]
    ['dogs', 'wine glasses', 'sandwiches', 'toothbrushes', 'mice', 'pairs of skis']
    """
    return _PLURALS.get(thing) or f"{thing}{'es' if thing.endswith(('s', 'sh', 'ch', 'x')) else 's'}"


def with_article(thing: str) -> str:
    """``a dog``, ``an umbrella``, ``water``, ``something red``.

    >>> [with_article(one) for one in ("dog", "umbrella", "unicycle", "Afghan hound", "snow", "red")]
    ['a dog', 'an umbrella', 'a unicycle', 'an Afghan hound', 'snow', 'something red']
    """
    if thing in COLOURS:
        return f"something {thing}"
    if thing in _SUBSTANCES:
        return thing
    vowel = thing[0].lower() in "aeiou" and not thing.startswith("uni")
    return f"{'an' if vowel else 'a'} {thing}"
