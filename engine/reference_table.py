"""A reference table as it was loaded: its columns, and which row holds under a key at a moment. It never changes.

Of several rows under one key that one holds which is valid at the moment and was known by then, the latest known. It reads no files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from engine.periods import NOTHING, Span, Steps, changes, moment_of
from engine.values import DATE, DATETIME, INT64_MAX, INT64_MIN, Type, Value, missing, show

NO_ROW: Final = missing("no row")


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column: the value of every row. `optional` says that empty cells are normal."""

    name: str
    type: Type
    values: Sequence[Value]
    optional: bool = False
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """From when, and for what is valid up to when, each row holds; `kind` is date or datetime. A last day is included, a last moment is
    not; an open end is none. `start` of what is known is never none."""

    kind: str
    start: Sequence[int | None]
    end: Sequence[int | None] = ()

    def after(self, row: int) -> int | None:
        """The first day or moment at which the row no longer holds."""
        end = self.end[row] if self.end else None
        return end + 1 if end is not None and self.kind == "date" else end


@dataclass(frozen=True, eq=False)
class ReferenceTable:
    """`keys` gives each row's key: a value, or a tuple where the key has several columns. `numbers` are the rows' numbers in `file`.

    Two tables are equal that say the same, which `digest` tells.

    >>> from engine.values import TEXT
    >>> column = TableColumn("segment", TEXT, ["retail", "corporate"])
    >>> table = ReferenceTable("bank/customers", "1.0.0", ("customer",), ["A", "B"], {"segment": column})
    >>> table.find("B"), table.find("C"), table.values("segment")[table.find("C")]
    (1, -1, missing (no row))
    """

    name: str
    version: str
    key: tuple[str, ...]
    keys: Sequence[Hashable]
    columns: Mapping[str, TableColumn]
    valid: Bounds | None = None
    known: Bounds | None = None
    digest: str = ""
    file: str = ""
    numbers: Sequence[int] = ()
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.digest:
            columns = [(column.name, str(column.type), list(column.values)) for column in self.columns.values()]
            said = [self.key, list(self.keys), columns, self.valid, self.known]
            object.__setattr__(self, "digest", hashlib.sha256(repr(said).encode()).hexdigest())

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ReferenceTable) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def dated(self) -> bool:
        """Whether it depends on the moment which row holds."""
        return self.valid is not None or self.known is not None

    def kept(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once under the key: what others derive from it lives as long as it does."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    @property
    def rows(self) -> dict[Hashable, int]:
        """The row of every key of a table without dates."""
        return self._by_key()[0]

    def steps(self, kind: str, zone: str) -> Steps:
        """Which row holds under every key, for records whose time is of this kind and whose days are those of this zone."""
        found: Steps = self.kept(("steps", kind, zone), lambda: self._steps(kind, zone))
        return found

    def _steps(self, kind: str, zone: str) -> Steps:
        spans, (rows, several) = self._spans(kind, zone), self._by_key()
        return Steps(
            {key: changes([spans[row]] if key not in several else [spans[at] for at in several[key]]) for key, row in rows.items()}
        )

    def _spans(self, kind: str, zone: str) -> list[Span]:
        """From when to when every row is found, and its rank among those found at once."""
        starts, ends, ranks = [INT64_MIN] * len(self), [INT64_MAX] * len(self), [0] * len(self)
        if self.valid is not None:
            starts = _moments(self.valid.start, self.valid.kind, kind, zone, INT64_MIN)
            ends = _moments([self.valid.after(row) for row in range(len(self))], self.valid.kind, kind, zone, INT64_MAX)
        if self.known is not None:
            ranks = [rank or 0 for rank in self.known.start]
            starts = list(map(max, starts, _moments(ranks, self.known.kind, kind, zone, INT64_MIN)))
        return list(zip(starts, ends, ranks, range(len(self)), strict=True))

    def _by_key(self) -> tuple[dict[Hashable, int], dict[Hashable, list[int]]]:
        """The first row of every key; and all rows of those keys that have several."""
        made: tuple[dict[Hashable, int], dict[Hashable, list[int]]] = self.kept("by key", lambda: _grouped(self.keys))
        return made

    def find(self, key: Hashable, at: int | None = None, kind: str = "datetime", zone: str = "UTC") -> int:
        """The row that holds under the key at that moment, or `NOTHING`."""
        if not self.dated or at is None:
            return self.rows.get(key, NOTHING)
        return self.steps(kind, zone).find(key, at)

    def values(self, column: str) -> Sequence[Value]:
        """The values of a column, by row; behind them that of no row, where `NOTHING` finds it."""
        found: Sequence[Value] = self.kept(("values", column), lambda: [*self.columns[column].values, NO_ROW])
        return found

    def clashes(self) -> Iterator[tuple[int, int]]:
        """Pairs of rows between which nobody could choose: of one key, known at the same moment, and valid at once."""
        for rows in self._by_key()[1].values():
            yield from self._clashing(rows)

    def _clashing(self, rows: list[int]) -> Iterator[tuple[int, int]]:
        together: dict[int | None, list[int]] = {}
        for row in rows:
            together.setdefault(None if self.known is None else self.known.start[row], []).append(row)
        for same in together.values():
            if self.valid is None:
                yield from pairwise(same)
                continue
            starts = self.valid.start
            same.sort(key=lambda row: (INT64_MIN if starts[row] is None else starts[row], row))
            for row, other in pairwise(same):
                after, start = self.valid.after(row), starts[other]
                if after is None or start is None or after > start:
                    yield row, other

    def told(self, row: int) -> str:
        """A row as explanations name it: where it stands, and from when it holds and is known."""
        parts = [f"row {self.numbers[row] if self.numbers else row + 1} of {self.file or self.name}"]
        if self.valid is not None:
            start, end = self.valid.start[row], self.valid.end[row]
            from_, to = (None if bound is None else _shown(bound, self.valid.kind) for bound in (start, end))
            parts.append("valid " + (f"from {from_}" if from_ else "") + (" " if from_ and to else "") + (f"to {to}" if to else ""))
            parts[-1] = parts[-1] if from_ or to else "always valid"
        if self.known is not None:
            parts.append(f"known from {_shown(self.known.start[row] or 0, self.known.kind)}")
        return ", ".join(parts)


def _grouped(keys: Sequence[Hashable]) -> tuple[dict[Hashable, int], dict[Hashable, list[int]]]:
    first: dict[Hashable, int] = {}
    several: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        if key in first:
            several.setdefault(key, [first[key]]).append(row)
        else:
            first[key] = row
    return first, several


def _moments(bounds: Sequence[int | None], of: str, kind: str, zone: str, open_: int) -> list[int]:
    """Bounds as moments of a record whose time is of this kind; there are far fewer different ones than rows."""
    moments = {bound: open_ if bound is None else moment_of(bound, of, kind, zone) for bound in set(bounds)}
    return list(map(moments.__getitem__, bounds))


def _shown(bound: int, kind: str) -> str:
    return show(bound, DATE if kind == "date" else DATETIME)
