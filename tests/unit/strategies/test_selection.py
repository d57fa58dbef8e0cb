"""What strategies declare, written down by hand, and how they are chosen by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.errors import UnknownNameError
from heliograph.registry import STRATEGIES
from heliograph.strategies import selection
from heliograph.strategies.base import Family, Kind
from heliograph.strategies.selection import (
    kind_of,
    missing,
    needs_bundle,
    strategies_for,
    strategies_with,
    strategy_class,
)

PAPER = "2604.26508"
DECLARED = {
    # name: kind, needs the bundle, embedded, tuned, codec, family, paper
    "klt": ("tokens", True, True, False, "klt", "split computing with feature compression", PAPER),
    "meta": ("tokens", True, True, False, "meta", "split computing with feature compression", PAPER),
    "jpeg": ("picture", False, False, True, "", "baseline", None),
    "webp": ("picture", False, False, True, "", "baseline", None),
    "avif": ("picture", False, False, True, "", "baseline", None),
    "jpeg-bare": ("picture", False, False, True, "", "baseline", None),
    "webp-bare": ("picture", False, False, True, "", "baseline", None),
    "avif-bare": ("picture", False, False, True, "", "baseline", None),
    "rgb": ("picture", False, False, False, "", "baseline", PAPER),
    "int8": ("tokens", True, False, False, "", "split computing with feature compression", None),
    "int4": ("tokens", True, False, False, "", "split computing with feature compression", None),
    "pq": ("tokens", True, False, False, "pq", "split computing with feature compression", None),
    "downsample": ("tokens", True, False, False, "", "visual-token compression", None),
    "random-drop": ("tokens", True, False, False, "", "visual-token compression", None),
    "local": ("local", False, False, False, "", "baseline", PAPER),
    "dynamicvit": ("tokens", True, True, False, "klt", "visual-token compression", "2106.02034"),
    "visionzip": ("tokens", True, True, False, "klt", "visual-token compression", "2412.04467"),
    "divprune": ("tokens", True, True, False, "klt", "visual-token compression", "2503.02175"),
    "tome": ("tokens", True, True, False, "klt", "visual-token compression", "2210.09461"),
    "dfmr": ("tokens", True, False, False, "klt", "visual-token compression", "2412.08771"),
    "latent-neck": ("tokens", True, False, False, "", "compressed-latent inputs", "2407.19651"),
    "tokens-1d": ("tokens", True, True, False, "", "compressed-latent inputs", "2406.07550"),
    "question-coded": ("tokens", True, True, False, "meta", "compressed-latent inputs", "2403.02944"),
    "jpeg-dct": ("tokens", False, True, False, "", "compressed-domain inference", "2211.16421"),
    "feature-adapt": ("tokens", True, False, False, "", "compressed-domain inference", "2305.08000"),
    "caption": ("text", False, False, False, "", "semantic compression", "2407.00020"),
    "read": ("text", False, False, False, "", "semantic compression", "2407.00020"),
    "side-info": ("tokens", True, True, False, "meta", "semantic compression", "2311.13847"),
    "entropic-student": ("tokens", True, False, False, "", "split computing with feature compression", "2108.11898"),
    "frankensplit": ("tokens", True, False, False, "", "split computing with feature compression", "2302.10681"),
    "split-k": ("tokens", True, True, False, "", "split computing with feature compression", None),
    "roi-jpeg": ("picture", False, False, True, "", "VLM-guided image compression", None),
    "roi-webp": ("picture", False, False, True, "", "VLM-guided image compression", None),
    "roi-avif": ("picture", False, False, True, "", "VLM-guided image compression", None),
    "prefilter": ("picture", False, False, True, "", "VLM-guided image compression", "2604.00314"),
    "cotam": ("picture", False, False, True, "", "VLM-guided image compression", "2509.24258"),
    "nnc": ("tokens", True, False, False, "klt", "split computing with feature compression", None),
    "klt-nnc": ("tokens", True, False, False, "klt", "split computing with feature compression", None),
    "feature-video": ("tokens", True, False, False, "klt", "split computing with feature compression", None),
}
PICTURES = ("jpeg", "webp", "avif", "jpeg-bare", "webp-bare", "avif-bare")
NECKS = ("latent-neck", "feature-adapt")
BOTTLENECKS = ("entropic-student", "frankensplit")
GUIDED = ("roi-jpeg", "roi-webp", "roi-avif", "prefilter", "cotam")


@pytest.mark.parametrize("name", DECLARED)
def test_what_a_strategy_is(name: str) -> None:
    one = strategy_class(name)
    said = (one.kind, one.needs_bundle, one.embedded, one.tuned, one.codec, one.family, one.paper)
    assert said == DECLARED[name]


def test_every_strategy_is_in_the_table() -> None:
    assert STRATEGIES.names() == tuple(DECLARED)


def test_strategies_are_chosen_by_what_they_declare() -> None:
    assert strategies_with() == tuple(DECLARED)
    assert strategies_with(tuned=True) == (*PICTURES, *GUIDED)
    assert strategies_with(tuned=True, family=Family.BASELINE) == PICTURES
    assert strategies_with(family=Family.GUIDED) == GUIDED
    assert strategies_with(embedded=True) == (
        *("klt", "meta", "dynamicvit", "visionzip", "divprune", "tome", "tokens-1d", "question-coded", "jpeg-dct"),
        *("side-info", "split-k"),
    )
    assert strategies_with(kind=Kind.PICTURE) == (*PICTURES, "rgb", *GUIDED)
    assert strategies_with(kind=Kind.PICTURE, tuned=False) == ("rgb",)
    assert strategies_with(kind=Kind.LOCAL) == ("local",)
    assert strategies_with(kind=Kind.TEXT) == ("caption", "read")
    assert strategies_with(speaks=True) == ("local", "caption")
    whole = (
        "int8",
        "int4",
        "pq",
        "downsample",
        "random-drop",
        "dfmr",
        *NECKS,
        *BOTTLENECKS,
        "nnc",
        "klt-nnc",
        "feature-video",
    )
    assert strategies_with(kind=Kind.TOKENS, embedded=False) == whole
    assert strategies_with(kind=Kind.LOCAL, tuned=True) == ()


def test_a_bundle_runs_what_needs_no_codec_and_what_it_holds_the_codec_of() -> None:
    assert set(strategies_for(())) | {"read"} == {name for name in DECLARED if not DECLARED[name][4]}
    may_be_missing = {"read", "nnc", "klt-nnc"}
    assert set(strategies_for(("klt",))) | may_be_missing == {
        name for name in DECLARED if DECLARED[name][4] not in ("meta", "pq")
    }


def test_what_needs_a_program_runs_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_NNC", "/somewhere/python")
    assert "nnc" in strategies_for(("klt",))
    monkeypatch.delenv("HELIOGRAPH_NNC")
    assert "nnc" not in strategies_for(("klt",))
    assert missing(strategy_class("nnc")) == "HELIOGRAPH_NNC"


@pytest.mark.parametrize("installed", [True, False])
def test_what_needs_an_extra_runs_where_it_is_installed(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "find_spec", lambda name: installed or None)
    assert ("read" in strategies_for(())) == installed
    assert missing(strategy_class("read")) == ("" if installed else "ocr")
    assert missing(strategy_class("jpeg")) == ""


def test_single_questions() -> None:
    assert (needs_bundle("klt"), needs_bundle("jpeg")) == (True, False)
    assert (kind_of("rgb"), kind_of("uncompressed")) == (Kind.PICTURE, None)
    with pytest.raises(UnknownNameError):
        needs_bundle("uncompressed")


class Plugged:
    """Enough of a strategy to be listed."""

    name, kind, needs_bundle, wire_id, default_setting = "thumb", Kind.PICTURE, False, 127, {}
    embedded, tuned, codec, family, paper = False, True, "", Family.BASELINE, None
    encode = restore = None


@pytest.fixture
def plugged() -> Iterator[None]:
    STRATEGIES.register("thumb", Plugged)
    STRATEGIES.register("torn", "nowhere_at_all:Torn")
    yield
    STRATEGIES._registered.clear()
    STRATEGIES._resolved = None


@pytest.mark.usefixtures("plugged")
def test_a_plug_in_is_listed_where_it_belongs_and_a_broken_one_nowhere() -> None:
    assert strategies_with(tuned=True) == (*PICTURES, *GUIDED, "thumb")
    assert "torn" in STRATEGIES.names()
    assert "torn" not in strategies_with()
    assert kind_of("torn") is None


def test_the_page_of_strategies_says_what_they_declare() -> None:
    text = (Path(__file__).parents[3] / "docs" / "strategies.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:3] == "| `"]
    yes = {True: "yes", False: ""}
    assert rows == [
        [f"`{name}`", kind, yes[embedded], yes[bundle], yes[tuned], family, f"arXiv {paper}" if paper else ""]
        for name, (kind, bundle, embedded, tuned, _, family, paper) in DECLARED.items()
    ]


@pytest.mark.parametrize("name", sorted(STRATEGIES._targets))
def test_a_strategy_lives_in_the_room_of_its_family(name: str) -> None:
    strategy = strategy_class(name)
    assert strategy.__module__.split(".")[:3] == ["heliograph", "strategies", strategy.family.name.lower()]
