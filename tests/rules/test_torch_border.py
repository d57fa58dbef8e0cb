"""The rooms of the device import no torch, and no room imports one that lies further out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph
from processes import run_python

PACKAGE = Path(heliograph.__file__).parent

SHARED = (
    "types",
    "boxes",
    "question",
    "errors",
    "error_bases",
    "exit_codes",
    "reasons",
    "reading",
    "registry",
    "clock",
    "config",
    "prompt_text",
    "hub",
)
DEVICE_ROOMS = ("energy", "protocol", "codec", "controllers", "strategies", "tracing", "transport", "edge")
REFUSED = ("torch", "transformers", "ray")

# From the innermost room outwards; a room may import those before it.
ORDER = (
    *(
        "exit_codes",
        "reasons",
        "error_bases",
        "errors",
        "reading",
        "boxes",
        "types",
        "question",
        "clock",
        "registry",
        "config",
        "prompt_text",
        "hub",
    ),
    *("energy", "protocol", "codec", "strategies", "controllers", "tracing", "transport", "edge"),
    *("reference", "vlm", "training", "serving", "testing", "bench", "cli"),
)

IMPORT_ALL = """
import importlib, importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ImportError("refused on the device: " + name)

sys.meta_path.insert(0, Refuse())
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted(sys.modules))
"""


def module_files(room: str) -> list[Path]:
    single = PACKAGE / f"{room}.py"
    return [single] if single.is_file() else sorted((PACKAGE / room).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, at its top, in functions and for type checking alike."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import hides which room it reaches"
            assert node.module is not None
            if node.module == "heliograph" or node.module.startswith("heliograph."):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def modules_after_importing(modules: list[str], refused: tuple[str, ...] = REFUSED) -> set[str]:
    code = IMPORT_ALL.format(modules=modules, refused=refused)
    return set(run_python("-c", code).stdout.split())


def test_every_device_module_imports_with_torch_refused() -> None:
    modules = [module_name(path) for room in (*SHARED, *DEVICE_ROOMS) for path in module_files(room)]
    assert len(modules) > 30
    loaded = modules_after_importing(modules)
    assert set(modules) <= loaded
    assert not {name.partition(".")[0] for name in loaded} & set(REFUSED)


def test_the_refusal_itself_works() -> None:
    with pytest.raises(AssertionError, match="refused on the device: json"):
        modules_after_importing(["heliograph.types", "json.decoder"], refused=("json",))


def test_edge_loads_its_heavy_parts_when_they_are_needed() -> None:
    modules = [module_name(path) for path in module_files("edge")]
    heavy = {"PIL.Image", "onnxruntime", "websockets", "tokenizers", "jinja2"}
    assert not modules_after_importing(modules) & heavy


def test_protocol_needs_the_standard_library_alone() -> None:
    loaded = modules_after_importing([module_name(path) for path in module_files("protocol")], refused=("numpy", "PIL"))
    assert "heliograph.protocol.session" in loaded


@pytest.mark.parametrize("room", [*SHARED, *DEVICE_ROOMS])
def test_no_device_file_names_torch(room: str) -> None:
    named = {name.partition(".")[0] for path in module_files(room) for name in imported_names(path)}
    assert not named & set(REFUSED)


@pytest.mark.parametrize("room", ORDER)
def test_no_room_imports_outwards(room: str) -> None:
    inner = set(ORDER[: ORDER.index(room) + 1])
    for path in module_files(room):
        for name in imported_names(path):
            parts = name.split(".")
            if parts[0] != "heliograph" or len(parts) < 2:
                continue
            assert parts[1] in inner or parts[1] == "__version__", f"{module_name(path)} imports {name}"


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if not path.name.startswith(("_", "."))}
    assert rooms - {"py.typed"} <= {*ORDER, "web"}
