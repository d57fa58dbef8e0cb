"""The how-tos for plug-ins, walked through: their files are written, installed and used as they say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from heliograph.reference.assets import demo_photo_path
from processes import environment, run_python

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\S+)\n")

RUN_LINES = """
import shlex, sys
from heliograph.cli.main import main
for line in sys.stdin.read().splitlines():
    print("$", line, flush=True)
    print("=", main(shlex.split(line)[1:]), flush=True)
"""


class Page:
    """One page's files in a folder of their own, the package installed as an installer does it, and its commands."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        blocks = BLOCK.findall((HOWTO / name).read_text(encoding="utf-8"))
        self.commands = [line[2:] for kind, text in blocks if kind == "bash" for line in text.splitlines()]
        self.tests: list[str] = []
        for kind, text in blocks:
            if kind not in ("python", "toml"):
                continue
            named = NAME.match(text)
            assert named is not None, f"{name}: which file is this?\n{text}"
            (folder / named[1]).write_text(text, encoding="utf-8")
            self.tests += [named[1]] if named[1].startswith("test_") else []
        self._install(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"])

    def _install(self, project: dict[str, object]) -> None:
        about = self.folder / f"{str(project['name']).replace('-', '_')}-{project['version']}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
        )
        groups = project["entry-points"]
        assert isinstance(groups, dict)
        lines = [
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
            for group, points in groups.items()
        ]
        (about / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")

    def run(self, *words: str, given: str = "") -> str:
        """What a fresh interpreter prints that finds the package."""
        said: str = run_python(*words, cwd=self.folder, env=environment(self.folder), given=given).stdout
        return said

    def run_tests(self) -> str:
        """The page's own tests."""
        return self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *self.tests)


TESTS_OF_PAGES = {"add-a-strategy.md": 1, "add-a-controller.md": 4, "add-a-transport.md": 1, "add-a-model.md": 1}


def test_every_page_with_files_is_walked_through() -> None:
    with_files = {
        path.name for path in HOWTO.glob("*.md") if re.search(r"^```python\n# \w+\.py$", path.read_text(), re.M)
    }
    assert with_files == set(TESTS_OF_PAGES)


@pytest.mark.parametrize(("name", "tests"), TESTS_OF_PAGES.items())
def test_the_files_of_the_page_are_a_plug_in_that_works(name: str, tests: int, tmp_path: Path) -> None:
    assert f"{tests} passed" in Page(name, tmp_path).run_tests()


def test_a_strategy_in_one_file_and_one_line_works_on_the_command_line(tmp_path: Path) -> None:
    page = Page("add-a-strategy.md", tmp_path)
    (tmp_path / "photo.jpg").write_bytes(demo_photo_path().read_bytes())
    assert len(page.commands) == 4
    shown = page.run("-c", RUN_LINES, given="\n".join(page.commands))
    encoded, inspected, answered, looked = (part.partition("\n")[2] for part in shown.split("$ ")[1:])
    assert "grey (size=64)" in encoded
    assert inspected.splitlines()[0].split() == ["strategy", "grey"]
    assert answered.splitlines() == ["K52", "= 0"]
    assert re.search(r"strategy grey +yes +heliograph-grey 1.0", looked)
    assert (tmp_path / "grey.hgs").read_bytes()[4] == 96  # the number that it pinned
    without = run_python("-c", RUN_LINES, cwd=tmp_path.parent, given=f"heliograph inspect {tmp_path / 'grey.hgs'}")
    assert "= 3" in without.stdout
    assert "stream-version" in without.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in HOWTO.glob("add-a-*.md")))
def test_a_page_is_short(name: str) -> None:
    assert len((HOWTO / name).read_text(encoding="utf-8").splitlines()) <= 110
