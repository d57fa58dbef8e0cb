"""Writes the pages of the documentation site into ``build/docs``, from where ``zensical.toml`` takes them.

``python tools/site_pages.py``; ``--serve`` then shows the site and follows changes. The pages in ``docs/`` are written
for whoever reads them in the repository. For the site:

- a pattern in ``SUMMARY.md``, the navigation, becomes the pages that it matches;
- the changelog is a page, and so is each of :data:`API_MODULES`;
- a link to a file outside ``docs/`` leads to a page that shows this file;
- a list item's further lines are indented twice as far, as Python-Markdown wants them.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ROOT / "build" / "docs"
CONTENTS = "SUMMARY.md"
CHANGELOG = ROOT / "CHANGELOG.md"

API_MODULES = (
    "heliograph.question",
    "heliograph.types",
    "heliograph.errors",
    "heliograph.codec.bundle",
    "heliograph.codec.klt",
    "heliograph.codec.meta",
    "heliograph.strategies.base",
    "heliograph.controllers.base",
    "heliograph.edge.client",
    "heliograph.edge.device",
    "heliograph.transport.base",
    "heliograph.transport.opening",
    "heliograph.serving.service",
    "heliograph.vlm.contract",
    "heliograph.testing",
    "heliograph.tracing",
)

_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
_LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".js": "javascript"}
_PATTERN = re.compile(r"^( *- )`([^`]+)`\n", re.MULTILINE)
_EVERY_S = 1.0


def main() -> int:
    """Write the pages; with ``--serve`` show the site until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="show the site, and follow changes of docs/")
    arguments = parser.parse_args()
    write_pages(PAGES)
    return serve() if arguments.serve else 0


def write_pages(folder: Path) -> None:
    """Everything that the site is made of; files that say the same already are left as they are, and others removed."""
    pages = made_pages()
    files = [path for path in sorted(DOCS.rglob("*")) if path.is_file() and path.suffix not in (".md", ".py")]
    for name, text in pages.items():
        _write(folder / name, text.encode())
    for path in files:
        _write(folder / path.relative_to(DOCS), path.read_bytes())
    wanted = {folder / name for name in pages} | {folder / path.relative_to(DOCS) for path in files}
    for path in folder.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()


def made_pages() -> dict[str, str]:
    """The text of every page by its name."""
    sources = [*sorted(DOCS.rglob("*.md")), CHANGELOG]
    pages = {_page_name(path): site_markdown(path.read_text(encoding="utf-8"), path) for path in sources}
    pages["decisions/README.md"] += "\n" + list_of_decisions(DOCS / "decisions")
    pages |= {f"api/{name}.md": f"# {name}\n\n::: {name}\n" for name in API_MODULES}
    pages[CONTENTS] = expanded(pages[CONTENTS], {name: _title(text) for name, text in sorted(pages.items())})
    pages |= {_page_name(file): file_page(file) for path in sources for file in files_outside(path)}
    return pages


def expanded(contents: str, titles: Mapping[str, str]) -> str:
    """The table of contents with each pattern replaced by a link to every page that it matches and no other line names.

    Args:
        contents: lines of a list; a pattern stands alone in its line, as code. Its ``*`` stays within one folder.
        titles: of all pages by their names, in the order in which a pattern lists them.
    """
    patterns = [found[2] for found in _PATTERN.finditer(contents)]
    named = {
        CONTENTS,
        *(target for target, _ in _LINK.findall(contents)),
        *(each for each in patterns if "*" not in each),
    }

    def links(match: re.Match[str]) -> str:
        matching = [name for name in titles if name == match[2] or (name not in named and _matches(name, match[2]))]
        named.update(matching)
        return "".join(f"{match[1]}[{titles[name]}]({name})\n" for name in matching)

    return _PATTERN.sub(links, contents)


def site_markdown(text: str, page: Path) -> str:
    """A page's text with its links and its indentation as the site needs them, line by line.

    Args:
        text: of the page.
        page: the file that says it, from where its links lead.
    """
    return "".join(
        part if part.startswith("```") else _indented(_LINK.sub(_relinked(page), part)) for part in _FENCE.split(text)
    )


def files_outside(page: Path) -> Iterator[Path]:
    """Files that a page links to and that are no pages of the site."""
    for part in _FENCE.split(page.read_text(encoding="utf-8")):
        for target, _ in [] if part.startswith("```") else _LINK.findall(part):
            path = _leads_to(page, target)
            if path is not None and path.is_file() and not path.is_relative_to(DOCS) and path != CHANGELOG:
                yield path


def file_page(path: Path) -> str:
    """The page that shows a file of the repository; its fence is longer than any in the file."""
    text = path.read_text(encoding="utf-8")
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall(r"`+", text))]))
    language = _LANGUAGES.get(path.suffix, "text")
    return f"# {path.name}\n\n`{path.relative_to(ROOT).as_posix()}`\n\n{fence}{language}\n{text}{fence}\n"


def list_of_decisions(folder: Path) -> str:
    """One line per decision, with the title that its file begins with."""
    lines = []
    for path in sorted(folder.glob("[0-9]*.md")):
        lines.append(f"- [{_title(path.read_text(encoding='utf-8'))}]({path.name})\n")
    return "".join(lines)


def serve() -> int:
    """The site at a port of this machine; pages are written anew when a file in ``docs/`` changes."""
    server = subprocess.Popen([sys.executable, "-m", "zensical", "serve"], cwd=ROOT)
    seen = _newest_change()
    try:
        while server.poll() is None:
            time.sleep(_EVERY_S)
            if (now := _newest_change()) != seen:
                seen = now
                write_pages(PAGES)
    except KeyboardInterrupt:
        server.terminate()
    return server.wait()


def _newest_change() -> tuple[int, int]:
    times = [path.stat().st_mtime_ns for path in [*DOCS.rglob("*"), CHANGELOG] if path.exists()]
    return len(times), max(times)


def _title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").removeprefix("heliograph.").replace("`", "")


def _matches(page: str, pattern: str) -> bool:
    return Path(page).parent == Path(pattern).parent and fnmatch.fnmatchcase(Path(page).name, Path(pattern).name)


def _page_name(path: Path) -> str:
    if path == CHANGELOG:
        return "changelog.md"
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return f"source/{path.relative_to(ROOT).as_posix()}.md"


def _leads_to(page: Path, target: str) -> Path | None:
    """The file or folder that a relative link leads to; None for an address."""
    return None if "://" in target or target.startswith("mailto:") else Path(os.path.normpath(page.parent / target))


def _relinked(page: Path) -> Callable[[re.Match[str]], str]:
    home = (PAGES / _page_name(page)).parent

    def replace(match: re.Match[str]) -> str:
        path = _leads_to(page, match[1])
        if path is not None and path.is_dir():
            path /= "README.md"
        if path is None or not path.is_file():
            return match[0]  # one that leads nowhere is the strict build's to report
        return f"]({Path(os.path.relpath(PAGES / _page_name(path), home)).as_posix()}{match[2] or ''})"

    return replace


def _indented(text: str) -> str:
    return "".join(" " * (len(line) - len(line.lstrip(" "))) + line for line in text.splitlines(keepends=True))


def _write(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
