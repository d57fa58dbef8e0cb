"""The numbers that modelled joules rest on: value, unit, source, basis; and the radios and boards made of them.

One data file holds them all (``constants.toml`` beside this module says how it is laid out), and a file of a person's
own adds to it. A power or an energy has a band; times and rates have none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from heliograph.errors import FileUnreadableError, UnknownNameError
from heliograph.reading.toml_values import read_toml
from heliograph.reasons import FileFault

Basis = Literal["measured", "modelled"]

BAND = 2.0
"""A power or an energy may be off by this factor, up or down."""

_FILE = Path(__file__).with_name("constants.toml")
_MAX_BYTES = 1 << 18
_MAX_ROWS = 16
_MAX_TEXT = 400
_LARGEST = 1e12
_SCALED = frozenset({"W", "J"})
_UNITS = frozenset({*_SCALED, "s", "s/B", "bit/s"})
_BASES = ("measured", "modelled")


@dataclass(frozen=True)
class Row:
    """What one source says.

    Attributes:
        value: in the constant's unit.
        basis: whether the source measured it.
        source: who says so, and where.
    """

    value: float
    basis: Basis
    source: str


@dataclass(frozen=True)
class Constant:
    """One quantity.

    Attributes:
        name: in the data file.
        about: what it is, in words.
        unit: W, J, s, s/B or bit/s.
        rows: at least one.
    """

    name: str
    about: str
    unit: str
    rows: tuple[Row, ...]

    @property
    def centre(self) -> float:
        """Geometric mean of the rows."""
        return math.exp(math.fsum(math.log(row.value) for row in self.rows) / len(self.rows))

    @property
    def low(self) -> float:
        """Half of the smallest row; of a time or a rate the centre."""
        return min(row.value for row in self.rows) / BAND if self.unit in _SCALED else self.centre

    @property
    def high(self) -> float:
        """Twice the largest row; of a time or a rate the centre."""
        return max(row.value for row in self.rows) * BAND if self.unit in _SCALED else self.centre


@dataclass(frozen=True)
class Entry:
    """A radio or a board as the file states it.

    Attributes:
        kind: ``radio`` or ``board``.
        name: by which it is asked for.
        fields: as written; a name of a constant is still a name.
        constants: every constant of the file, by name.
        path: the file, for what is wrong with it.
    """

    kind: str
    name: str
    fields: Mapping[str, Any]
    constants: Mapping[str, Constant]
    path: Path

    def wrong(self, key: str, wanted: str) -> FileUnreadableError:
        """The error of one field."""
        return _wrong(self.path, f"{self.kind} {self.name}: {key} must be {wanted}")

    def number(self, key: str, default: float | None = None, *, most: float = _LARGEST) -> float:
        """A number from 0 to ``most``.

        Raises:
            FileUnreadableError: there is none, and no ``default``, or it is none.
        """
        value = self.fields.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self.wrong(key, f"a number from 0 to {most:g}")
        return float(value)

    def whole(self, key: str, default: int | None = None, *, least: int = 0, most: int = 1 << 30) -> int:
        """A whole number from ``least`` to ``most``.

        Raises:
            FileUnreadableError: as :meth:`number`.
        """
        value = self.fields.get(key, default)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(key, f"a whole number from {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where it is not said.

        Raises:
            FileUnreadableError: neither.
        """
        value = self.fields.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def text(self, key: str) -> str:
        """A text that is not empty.

        Raises:
            FileUnreadableError: there is none.
        """
        return _text(self.fields.get(key), lambda: self.wrong(key, f"a text of 1 to {_MAX_TEXT} characters"))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty where it is not said.

        Raises:
            FileUnreadableError: no list of texts.
        """
        value = self.fields.get(key, [])
        if not isinstance(value, list) or len(value) > _MAX_ROWS:
            raise self.wrong(key, "a list of texts")
        return tuple(_text(one, lambda: self.wrong(key, "a list of texts")) for one in value)

    def constant(self, key: str, unit: str) -> Constant:
        """The constant whose name stands there.

        Raises:
            FileUnreadableError: there is none of that name, or it has another unit.
        """
        found = self.optional_constant(key, unit)
        if found is None:
            raise self.wrong(key, f"the name of a constant in {unit}")
        return found

    def optional_constant(self, key: str, unit: str) -> Constant | None:
        """Like :meth:`constant`; None where the field is not there."""
        named = self.fields.get(key)
        if named is None:
            return None
        found = self.constants.get(named) if isinstance(named, str) else None
        if found is None or found.unit != unit:
            raise self.wrong(key, f"the name of a constant in {unit}")
        return found


@dataclass(frozen=True)
class Catalogue:
    """Everything that the data files hold."""

    constants: Mapping[str, Constant] = field(default_factory=dict)
    radios: Mapping[str, Entry] = field(default_factory=dict)
    boards: Mapping[str, Entry] = field(default_factory=dict)

    def entry(self, kind: str, name: str) -> Entry:
        """The radio or board of that name.

        Raises:
            UnknownNameError: there is none; lists those that there are.
        """
        found = self.radios if kind == "radio" else self.boards
        if name not in found:
            raise UnknownNameError(kind, tuple(found))
        return found[name]


def load_catalogue(own: Path | None = None) -> Catalogue:
    """The shipped constants, radios and boards.

    Args:
        own: a file of the same layout whose entries are added; one of a name that there is takes its place.

    Raises:
        FileUnreadableError: the file cannot be read, or an entry is not what it must be; a note says which.
    """
    catalogue = _read(_FILE, Catalogue())
    return catalogue if own is None else _read(own, catalogue)


def _read(path: Path, before: Catalogue) -> Catalogue:
    data = read_toml(path, max_bytes=_MAX_BYTES)
    if strange := sorted(set(data) - {"constants", "radios", "boards"}):
        raise _wrong(path, f"{strange[0]}: sections are constants, radios and boards")
    stated = {name: _constant(path, name, entry) for name, entry in _tables(path, data, "constants")}
    constants = {**before.constants, **stated}

    def entries(kind: str) -> dict[str, Entry]:
        tables = _tables(path, data, f"{kind}s")
        return {name: Entry(kind, name, stated, constants, path) for name, stated in tables}

    return Catalogue(constants, {**before.radios, **entries("radio")}, {**before.boards, **entries("board")})


def _tables(path: Path, data: Mapping[str, Any], section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = data.get(section, {})
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise _wrong(path, f"{section}: a table per entry, such as [{section}.NAME]")
    return iter(found.items())


def _constant(path: Path, name: str, entry: Mapping[str, Any]) -> Constant:
    def wrong(what: str) -> FileUnreadableError:
        return _wrong(path, f"constant {name}: {what}")

    unit, rows = entry.get("unit"), entry.get("rows")
    if unit not in _UNITS:
        raise wrong(f"unit must be one of {', '.join(sorted(_UNITS))}")
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MAX_ROWS:
        raise wrong(f"rows must be a list of 1 to {_MAX_ROWS} tables")
    about = _text(entry.get("about"), lambda: wrong("about must say what it is"))
    return Constant(name, about, cast(str, unit), tuple(_row(row, wrong) for row in rows))


def _row(row: Any, wrong: Any) -> Row:
    if not isinstance(row, dict) or set(row) != {"value", "basis", "source"}:
        raise wrong("a row has value, basis and source")
    value, basis = row["value"], row["basis"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LARGEST:
        raise wrong(f"value must be a number above 0, up to {_LARGEST:g}")
    if basis not in _BASES:
        raise wrong(f"basis must be one of {', '.join(_BASES)}")
    return Row(float(value), cast(Basis, basis), _text(row["source"], lambda: wrong("source must say who states it")))


def _text(value: Any, wrong: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT or not value.isprintable():
        raise wrong()
    return value


def _wrong(path: Path, what: str) -> FileUnreadableError:
    return FileUnreadableError(FileFault.CONTENT).noted(f"{path}: {what}.")
