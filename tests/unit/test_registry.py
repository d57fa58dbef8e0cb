"""Registries are open: plug-ins by entry point and by call, their numbers, and what is said of broken ones."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heliograph import registry as registries
from heliograph.codec.container import read_stream, write_stream
from heliograph.errors import PlugInError, StreamVersionError, UnknownNameError
from heliograph.protocol.events import ErrorReceived, HelloReceived, ImageAnnounced, QuestionAsked
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.protocol.wire_ids import CONTROLLER_WIRE_IDS, REGION_WIRE_IDS, STRATEGY_WIRE_IDS, WireIds
from heliograph.question import Question
from heliograph.registry import CONTROLLERS, OPEN, REGION_POLICIES, STRATEGIES, Registry
from heliograph.types import EncodedImage

GROUP = "heliograph.fruits"
Installer = Callable[..., None]


def fruits() -> Registry:
    return Registry("fruit", {"apple": "json:dumps"}, group=GROUP, private=range(96, 128), needed=("name", "colour"))


def ids(registry: Registry) -> WireIds:
    return WireIds("fruit", range(1, 128), {"apple": 1}, registry)


def fruit(name: str, wire_id: Any, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, wire_id=wire_id, colour="green", **more)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    """Puts a package with entry points where Python finds it, without any installer."""
    monkeypatch.syspath_prepend(tmp_path)
    modules = set(sys.modules)

    def put(package: str, lines: dict[str, str], source: str = "", group: str = GROUP) -> None:
        (tmp_path / f"{package}.py").write_text(source)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        entries = "".join(f"{name} = {target}\n" for name, target in lines.items())
        (about / "entry_points.txt").write_text(f"[{group}]\n{entries}")
        registries._entry_points.cache_clear()

    registries._entry_points.cache_clear()
    yield put
    registries._entry_points.cache_clear()
    for name in set(sys.modules) - modules:
        if name.startswith("plug_"):
            del sys.modules[name]


FRUIT = """
class {name}:
    name, wire_id, colour = "{lower}", {number}, "green"
"""


def source(name: str, number: int) -> str:
    return FRUIT.format(name=name, lower=name.lower(), number=number)


def notes_of(error: BaseException) -> str:
    return " ".join(error.__notes__)


def test_a_package_adds_by_an_entry_point_and_nothing_is_imported_to_list_it(install: Installer) -> None:
    install("plug_pear", {"pear": "plug_pear:Pear"}, source("Pear", 100))
    found = fruits()
    assert found.names() == ("apple", "pear")
    assert ids(found).names() == ("apple", "pear")
    assert "plug_pear" not in sys.modules
    assert found.load("pear").colour == "green"
    assert ids(found).of("pear") == 100
    assert ids(found).name_of(100) == "pear"
    assert [(one.name, one.package, fault) for one, fault in found.faults()] == [("pear", "plug_pear 1.0", "")]


def test_our_own_are_loaded_without_a_look_at_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise AssertionError("looked")

    monkeypatch.setattr(registries, "_entry_points", refused)
    found = fruits()
    assert found.load("apple")(1) == "1"
    assert (ids(found).of("apple"), ids(found).name_of(1)) == (1, "apple")


def test_a_broken_package_is_an_error_for_whoever_uses_it_alone(install: Installer) -> None:
    install("plug_broken", {"quince": "plug_broken:Quince"}, "import nowhere_to_be_found\n")
    install("plug_exits", {"sloe": "plug_exits:Sloe"}, "raise SystemExit(3)\n")
    install("plug_empty", {"plum": "plug_empty:Plum"}, "")
    install("plug_pear", {"pear": "plug_pear:Pear"}, source("Pear", 100))
    found = fruits()
    assert found.load("pear").name == "pear"
    for name, said in (
        ("quince", "of plug_broken 1.0: it cannot be imported: No module named 'nowhere_to_be_found'"),
        ("sloe", "of plug_exits 1.0: it ends the program when it is imported"),
        ("plum", "of plug_empty 1.0: it cannot be imported: "),
    ):
        with pytest.raises(PlugInError) as caught:
            found.load(name)
        assert said in notes_of(caught.value)
        assert "nowhere" not in str(caught.value)  # the text is constant
    assert found.numbers() == {"pear": 100}
    assert {one.name: bool(fault) for one, fault in found.faults()} == {
        "quince": True,
        "sloe": True,
        "plum": True,
        "pear": False,
    }


def test_two_packages_with_one_number_are_both_refused(install: Installer) -> None:
    """Else the order of packages would decide what a number means, at each end by itself."""
    install("plug_pear", {"pear": "plug_pear:Pear"}, source("Pear", 100))
    install("plug_plum", {"plum": "plug_plum:Plum"}, source("Plum", 100))
    found = fruits()
    for name, other in (("pear", "plum"), ("plum", "pear")):
        with pytest.raises(PlugInError) as caught:
            found.load(name)
        assert f"wire_id 100 is that of {other} too" in notes_of(caught.value)
    with pytest.raises(UnknownNameError):
        ids(found).name_of(100)


def test_two_packages_with_one_name_are_both_refused(install: Installer) -> None:
    install("plug_one", {"pear": "plug_one:Pear"}, source("Pear", 100))
    install("plug_two", {"pear": "plug_two:Pear"}, source("Pear", 101))
    with pytest.raises(PlugInError) as caught:
        fruits().load("pear")
    assert "plug_one 1.0 and plug_two 1.0 both have it: uninstall one" in notes_of(caught.value)


def test_our_own_name_stays_ours(install: Installer) -> None:
    install("plug_apple", {"apple": "plug_apple:Apple"}, source("Apple", 100))
    found = fruits()
    assert found.names() == ("apple",)
    assert found.load("apple")(1) == "1"
    assert "Heliograph's own: rename it" in found.faults()[0][1]


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (fruit("pear", 95), "wire_id must be a number from 96 to 127"),
        (fruit("pear", 128), "wire_id must be a number from 96 to 127"),
        (fruit("pear", None), "wire_id must be a number from 96 to 127"),
        (fruit("pear", "96"), "wire_id must be a number from 96 to 127"),
        (fruit("quince", 96), "its class says name = 'quince'"),
        (SimpleNamespace(name="pear", wire_id=96), "it lacks colour"),
        ("no-target", "its target is not module:attribute"),
        ("json:nothing", "it cannot be imported: "),
    ],
)
def test_what_cannot_be_used_says_why(thing: Any, said: str) -> None:
    found = fruits()

    def used() -> None:
        found.register("pear", thing)  # a thing is looked at now
        found.load("pear")  # and what is behind a target now

    with pytest.raises(PlugInError) as caught:
        used()
    assert said in notes_of(caught.value)


@pytest.mark.parametrize("number", [96, 127])
def test_a_program_registers_what_it_holds(number: int) -> None:
    found = fruits()
    found.register("pear", fruit("pear", number))
    assert found.load("pear").colour == "green"
    assert ids(found).name_of(number) == "pear"
    with pytest.raises(PlugInError, match="plug-in") as caught:
        found.register("plum", fruit("plum", number))
    assert f"wire_id {number} is that of pear too" in notes_of(caught.value)
    assert found.names() == ("apple", "pear")  # what was refused leaves no trace
    assert found.load("pear").name == "pear"


@pytest.mark.parametrize("name", ["apple", "pear"])
def test_a_name_is_taken_once(name: str) -> None:
    found = fruits()
    found.register("pear", fruit("pear", 100))
    with pytest.raises(PlugInError) as caught:
        found.register(name, fruit(name, 101))
    assert "this name is taken" in notes_of(caught.value)


@pytest.mark.parametrize("name", ["", "Pear", "a b", "-pear", "x" * 33, "päar"])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(PlugInError) as caught:
        fruits().register(name, fruit(name, 100))
    assert "lower-case letters, digits and hyphens" in notes_of(caught.value)


def test_an_unknown_name_lists_plug_ins_too() -> None:
    found = fruits()
    found.register("pear", fruit("pear", 100))
    for unknown in (lambda: found.load("fig"), lambda: ids(found).of("fig"), lambda: ids(found).name_of(101)):
        with pytest.raises(UnknownNameError) as caught:
            unknown()
        assert caught.value.choices == ("apple", "pear")


def test_ranges_of_plug_ins_are_those_of_the_document_and_hold_no_pinned_number() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    section = text.split("\n## Numbers of plug-ins\n")[1].split("\n## ")[0]
    for registry, kind in (
        (STRATEGIES, "strategies"),
        (CONTROLLERS, "controllers"),
        (REGION_POLICIES, "region policies"),
    ):
        assert f"| {registry.private[0]} to {registry.private[-1]} | {kind} |" in section
    for numbers in (STRATEGY_WIRE_IDS, CONTROLLER_WIRE_IDS, REGION_WIRE_IDS):
        own = {numbers.of(name) for name in numbers.names()}
        private = next(one.private for one in OPEN if one.kind == numbers.kind)
        assert set(private) <= set(numbers.numbers)
        assert not own & set(private)


@pytest.fixture
def thumb() -> Iterator[Callable[[], None]]:
    """A strategy, a controller and a region policy of a plug-in; called, it takes them away again."""
    named = SimpleNamespace(kind="picture", needs_bundle=False, default_setting={}, encode=None, restore=None)
    STRATEGIES.register("thumb", SimpleNamespace(**vars(named), name="thumb", wire_id=127))
    CONTROLLERS.register("sure", SimpleNamespace(name="sure", wire_id=12, from_target=None, decide=None))
    REGION_POLICIES.register("mine", SimpleNamespace(name="mine", wire_id=240, decide=None))

    def taken_away() -> None:
        for registry in (STRATEGIES, CONTROLLERS, REGION_POLICIES):
            registry._registered.clear()
            registry._resolved = None

    yield taken_away
    taken_away()


def said_by_a_device() -> bytes:
    device = DeviceSession(b"")
    device.start()
    device.ask(0, 0, Question("what?", controller="sure", region="mine"))
    device.ask(1, 0, "why?")
    device.announce_image(0, "thumb", b"")
    device.send_segment(0, b"segment")
    return device.bytes_to_send()


def test_numbers_of_plug_ins_travel_and_are_unknown_where_the_plug_in_is_not(thumb: Callable[[], None]) -> None:
    data = said_by_a_device()
    assert bytes((0x10 | 0x80 | 12,)) in data  # mode: options follow, the photo too, controller 12
    assert bytes((240,)) in data
    assert bytes((127,)) in data
    cloud = CloudSession(b"", frozenset(), needs_bundle=lambda strategy: False)
    heard = cloud.receive(data, 0.0)
    asked = [one for one in heard if isinstance(one, QuestionAsked)]
    assert [(one.question.controller, one.question.region) for one in asked] == [("sure", "mine"), ("energy", "never")]
    assert [one.strategy for one in heard if isinstance(one, ImageAnnounced)] == ["thumb"]
    thumb()
    bare = CloudSession(b"", frozenset(), needs_bundle=lambda strategy: False)
    assert [type(one) for one in bare.receive(data, 0.0)] == [HelloReceived, QuestionAsked]
    told = DeviceSession(b"")
    told.start()
    told.ask(0, 0, "what?")
    told.ask(1, 0, "why?")
    answers = [one for one in told.receive(bare.bytes_to_send(), 0.0) if isinstance(one, ErrorReceived)]
    assert answers == [ErrorReceived(UnknownNameError, 0), ErrorReceived(UnknownNameError, 1)]


def test_a_file_of_a_plug_in_is_read_where_the_plug_in_is(thumb: Callable[[], None]) -> None:
    data = write_stream(EncodedImage("thumb", b"", (b"one", b"two")))
    assert data[4] == 127
    assert read_stream(data).strategy == "thumb"
    thumb()
    with pytest.raises(StreamVersionError):
        read_stream(data)
    with pytest.raises(UnknownNameError):
        write_stream(EncodedImage("thumb", b"", (b"one",)))
