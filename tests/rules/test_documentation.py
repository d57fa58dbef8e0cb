"""Documentation is true: its examples run, its links lead somewhere, and the file tree that they draw is the tree."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from heliograph.cli.main import COMMANDS, build_parser, main
from heliograph.cli.readme_table import (
    END,
    START,
    SUMMARY_END,
    SUMMARY_START,
    fill,
    fill_summary,
    load_results,
)
from heliograph.reference.assets import demo_photo_path
from processes import run, tracked_files

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(language: str) -> list[tuple[Path, str]]:
    return [
        (path, text)
        for path in DOCUMENTS
        for found, text in BLOCK.findall(path.read_text(encoding="utf-8"))
        if found == language
    ]


def named(pairs: list[tuple[Path, str]]) -> list[object]:
    return [pytest.param(text, id=f"{path.stem}-{number}") for number, (path, text) in enumerate(pairs)]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples of one page build on one another: they share a folder that begins with one photo."""
    folder = tmp_path_factory.mktemp("examples")
    shutil.copy(demo_photo_path(), folder / "photo.jpg")
    return folder


# A block that begins with a file's name is a file of a plug-in, which tests/integration/test_howtos.py installs.
EXAMPLES = [(path, text) for path, text in blocks("python") if not re.match(r"# \w+\.py\n", text)]


@pytest.mark.usefixtures("pair_as_default")
@pytest.mark.parametrize("text", named(EXAMPLES))
def test_python_examples_run(text: str, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared_folder)
    exec(compile(text, "example", "exec"), {"__name__": "example"})


@pytest.mark.usefixtures("pair_as_default")
@pytest.mark.parametrize("text", named(blocks("console")))
def test_console_examples_run_and_show_what_they_show(
    text: str, shared_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shared_folder)
    for command, expected in examples_of(text):
        words = shlex.split(command)
        if words[0] == "heliograph":
            assert main(words[1:]) == 0, command
            shown = capsys.readouterr().out
        else:
            shown = run(command).stdout
        if expected:
            assert doctest.OutputChecker().check_output(expected, shown, doctest.ELLIPSIS), (command, shown)


@pytest.mark.parametrize("text", named(blocks("console")))
def test_console_examples_show_what_their_commands_say(text: str) -> None:
    """An expectation of dots matches whatever a command prints, nothing included."""
    for command, expected in examples_of(text):
        if command.startswith("heliograph ") or expected:
            assert re.search(r"\w", expected), command


def examples_of(text: str) -> list[tuple[str, str]]:
    """(command, expected standard output) pairs of a console block."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, expected = found[-1]
            found[-1] = command, f"{expected}{line}\n"
    return found


@pytest.mark.parametrize("text", named(blocks("sh")))
def test_shell_lines_are_commands_that_exist(text: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "make":
            assert set(words[1:]) <= targets, line
        elif words[0] == "heliograph":
            build_parser(words[1])[0].parse_args(words[1:])
        else:
            assert words[0] in ("pip", "git"), f"nothing checks {line!r}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_readme_names_every_command() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert [name for name in COMMANDS if f"heliograph {name}" not in text and f"`{name}`" not in text] == []


# A page that begins its file tree with the first folder is held against the tree; developing.md is one of them.
TREES = [path for path in DOCUMENTS if "```text\n.ci/" in path.read_text(encoding="utf-8")]


def tree_of(page: Path) -> list[str]:
    """Paths of the file tree, from the indentation."""
    text = page.read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    paths: list[str] = []
    parents: list[str] = []
    for line in text.splitlines():
        indent, name = len(line) - len(line.lstrip()), line.split()[0]
        parents = [*parents[: indent // 2], name]
        paths.append("".join(parents))
    return paths


def test_a_page_shows_the_file_tree() -> None:
    assert ROOT / "docs" / "developing.md" in TREES


@pytest.mark.parametrize("page", TREES, ids=lambda page: page.name)
def test_every_path_of_the_file_tree_exists(page: Path) -> None:
    paths = tree_of(page)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).is_dir()] == []


@pytest.mark.parametrize("page", TREES, ids=lambda page: page.name)
def test_the_file_tree_shows_every_folder_that_matters(page: Path) -> None:
    listed = tracked_files(ROOT)
    folders = {f"{path.split('/')[0]}/" for path in listed if "/" in path} - {"src/"}
    folders |= {f"{'/'.join(path.split('/')[:2])}/" for path in listed if re.match(r"docs/\w+/|src/\w+/", path)}
    folders |= {f"{'/'.join(path.split('/')[:3])}/" for path in listed if re.match(r"src/heliograph/\w+/", path)}
    assert folders - set(tree_of(page)) == set()


RESULTS = ROOT / "docs" / "results"


FILLED = [path for path in DOCUMENTS if START in path.read_text(encoding="utf-8")]


def test_the_results_page_is_filled_from_the_published_suites() -> None:
    assert RESULTS / "README.md" in FILLED


@pytest.mark.parametrize("page", FILLED, ids=lambda page: page.parent.name)
def test_a_pages_results_are_the_published_ones(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count(START) == text.count(END) == 1
    assert fill(text, load_results(RESULTS), os.path.relpath(RESULTS, page.parent), page.parent) == text


README = ROOT / "README.md"


def test_the_readmes_summary_is_that_of_the_published_suites() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count(SUMMARY_START) == text.count(SUMMARY_END) == 1
    assert fill_summary(text, load_results(RESULTS)) == text


def test_the_readme_is_short_and_its_figures_are_published_ones() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    results = {one["suite"]: one for one in load_results(RESULTS)}
    figures = {name: {f["name"]: f["value"] for f in one["figures"]} for name, one in results.items()}
    auroc = next(one["body"] for one in results["loop"]["tables"] if one["title"] == "AUROC of confidences")
    times = json.loads((RESULTS / "loop-times.json").read_text(encoding="utf-8"))["figures"]
    share = figures["region"]["extra bytes of calibrated / always looking again, within 1 point of its accuracy"]
    planner = "planner's median time / the best fixed way's median time, no own model, traces as they are"
    wanted = (
        f"takes {100 * figures['planner'][planner]:.0f} % of the best fixed",
        f"with {figures['photos']['bytes of meta at agreement 0.85']:.0f} bytes",
        f"{figures['photos']['bytes of avif at agreement 0.85']:,.0f};",
        f"in {100 * times['push, same prefix / pull, quality 0.95']['worse']:.0f} % of",
        f"{100 * share:.0f} % of the bytes of always looking",
        *(f"{row[2]}" for row in auroc if row[0] == "right" and row[1] in ("combined", "min-entropy")),
    )
    assert [one for one in wanted if one not in text] == []


def test_every_published_plot_is_on_a_page() -> None:
    shown = {(path.parent / found).resolve() for path in DOCUMENTS for found in LINK.findall(path.read_text("utf-8"))}
    assert sorted({path.resolve() for path in RESULTS.glob("*.png")} - shown) == []


def test_changelog_has_the_version() -> None:
    from heliograph import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"version: {__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_no_file_names_a_machine() -> None:
    """Absolute paths of somebody's machine have no place in a committed text."""
    listed = tracked_files(ROOT)
    told = re.compile(r"(?<![\w.$~])/(?:home|root|Users)/\w")
    texts = [ROOT / path for path in listed if path.endswith((".md", ".py", ".toml", ".json", ".yaml", ".cff"))]
    assert [path.name for path in texts if path.is_file() and told.search(path.read_text(encoding="utf-8"))] == []
