"""Pages of the documentation site: links, indentation and navigation as the site needs them."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


def load() -> ModuleType:
    """The tool is a script beside the package, not a part of it."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "tools" / "site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


site = load()
DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("docs/howto/photos.md", "[a](regions.md#when)", "[a](regions.md#when)"),
        ("docs/howto/photos.md", "[a](../decisions)", "[a](../decisions/README.md)"),
        ("docs/howto/photos.md", "[a](../../pyproject.toml)", "[a](../source/pyproject.toml.md)"),
        ("docs/howto/photos.md", "[a](../../CHANGELOG.md)", "[a](../changelog.md)"),
        ("CHANGELOG.md", "[a](docs/howto/photos.md), [b](docs/codec.md)", "[a](howto/photos.md), [b](codec.md)"),
        ("docs/codec.md", "[a](https://example.org/x.md)", "[a](https://example.org/x.md)"),
        ("docs/codec.md", "[a](no-such-page.md)", "[a](no-such-page.md)"),
        ("docs/codec.md", "- item\n\n  | a |\n", "- item\n\n    | a |\n"),
        ("docs/codec.md", "```text\n  [a](../pyproject.toml)\n```\n", "```text\n  [a](../pyproject.toml)\n```\n"),
    ],
)
def test_a_page_of_the_repository_becomes_one_of_the_site(page: str, text: str, expected: str) -> None:
    assert site.site_markdown(text, ROOT / page) == expected


def test_a_pattern_stands_for_pages_that_no_other_line_names() -> None:
    contents = "- `*.md`\n- A\n    - [first](a/first.md)\n    - `a/*.md`\n    - `b.md`\n    - `none.md`\n"
    titles = {
        "SUMMARY.md": "Contents",
        "a/first.md": "1",
        "a/second.md": "2",
        "a/b/deep.md": "3",
        "b.md": "4",
        "c.md": "5",
    }
    assert site.expanded(contents, titles) == (
        "- [5](c.md)\n- A\n    - [first](a/first.md)\n    - [2](a/second.md)\n    - [4](b.md)\n"
    )


def test_every_page_is_in_the_navigation_once() -> None:
    pages = site.made_pages()
    listed = re.findall(r"\]\(([^)]+)\)", pages["SUMMARY.md"])
    assert sorted(listed) == sorted(name for name in pages if name != "SUMMARY.md" and not name.startswith("source/"))


def test_modules_of_the_reference_exist() -> None:
    for name in site.API_MODULES:
        path = ROOT / "src" / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_the_page_of_a_file_shows_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    file = tmp_path / "run.py"
    file.write_text('text = "```"\n')
    assert site.file_page(file) == '# run.py\n\n`run.py`\n\n````python\ntext = "```"\n````\n'


def test_pages_that_are_gone_are_removed(tmp_path: Path) -> None:
    site.write_pages(tmp_path)
    index = tmp_path / "index.md"
    before = index.stat().st_mtime_ns
    (tmp_path / "howto" / "gone.md").write_text("# Gone\n")
    site.write_pages(tmp_path)
    assert not (tmp_path / "howto" / "gone.md").exists()
    assert index.stat().st_mtime_ns == before
    assert (tmp_path / "results" / "reference-rate_accuracy.png").is_file()


def test_the_data_flow_is_drawn_with_names_of_the_tree() -> None:
    drawing = (DOCS / "draw_dataflow.py").read_text(encoding="utf-8")
    names = re.findall(r"\(\d[\d., ]+ \"([a-z]+\.[a-z]+|codec|controllers)\", \"", drawing)
    assert len(names) >= 8
    package = ROOT / "src" / "heliograph"
    paths = [package / name.replace(".", "/") for name in names]
    assert [path.name for path in paths if not (path.is_dir() or path.with_suffix(".py").is_file())] == []


def test_the_site_asks_no_other_host() -> None:
    """The generator's plugin ``offline`` (zensical 0.0.73, seen 2026-11-29) puts a script of a CDN into every page."""
    settings = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    assert "offline" not in settings.get("plugins", {})
    assert settings["theme"]["font"] is False
    assert "://" not in str([settings.get(key) for key in ("extra_javascript", "extra_css")])
