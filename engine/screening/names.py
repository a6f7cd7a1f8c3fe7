"""A list of names, asked which of its entries resembles another name most: exact, and the same as comparing with every one of them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

from engine.screening.index import Index
from engine.screening.likeness import WHOLE, code, likeness
from engine.screening.spelling import LONGEST, Spelling, bare, spell
from engine.values import PERCENT_UNIT, Missing

METHOD: Final = "1.0.0"
"""The version of what `spelling` and `likeness` say; another one may decide otherwise."""
LIBRARIES: Final = ("anyascii", "rapidfuzz")
HUNDREDTH: Final = PERCENT_UNIT // WHOLE
_REMEMBERED: Final = 32_768
"""Of so many names a list remembers its answer: a few megabytes."""


def transliterator() -> dict[str, str]:
    """The library that writes names in Latin letters, and its version, on which likeness depends."""
    return {"anyascii": importlib.metadata.version("anyascii")}


def method() -> list[tuple[str, bytes]]:
    """What decides besides a list: the version of the method, and of the library that transliterates."""
    return [("method", METHOD.encode()), *((name, version.encode()) for name, version in transliterator().items())]


Days = tuple[int | None, int | None]


class Entry(NamedTuple):
    """A name on a list, the id of who bears it, and the spans of days in which it is in force; none where it always is."""

    name: str
    id: str = ""
    days: tuple[Days, ...] = ()

    def on(self, day: int | None) -> bool:
        """Whether it is in force on the day."""
        if not self.days or day is None:
            return True
        return any((start is None or day >= start) and (end is None or day <= end) for start, end in self.days)


class Match(NamedTuple):
    """The entry that resembles a name most, and by how much, in hundredths of a percent."""

    likeness: int
    entry: Entry

    @property
    def rank(self) -> tuple[int, str, str]:
        """The more alike the better, of equals the first by name and id."""
        return -self.likeness, self.entry.name, self.entry.id

    @property
    def percent(self) -> int:
        """The likeness as a percentage of the language."""
        return self.likeness * HUNDREDTH


class Names:
    """The entries of a list. It never changes, and what a search needs is made when first asked.

    >>> listed = Names([Entry("BIN LADIN, Usama", "6365"), Entry("PETROV, Ivan", "7")])
    >>> listed.best("Osama bin Laden", 85 * 1_000_000)
    Match(likeness=9000, entry=Entry(name='BIN LADIN, Usama', id='6365', days=()))
    >>> listed.best("Osama bin Laden", 91 * 1_000_000), listed.best("-", 90 * 1_000_000)
    (None, missing (damaged))
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: Final = tuple(sorted(set(entries), key=lambda entry: (entry.name, entry.id, repr(entry.days))))
        self._hash: int | None = None
        self._indexes: dict[tuple[bool, bool], tuple[Index, dict[str, list[Entry]]]] = {}
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._best)

    def best(self, name: str, least: int, day: int | None = None) -> Match | Missing | None:
        """The entry that resembles the name most, if by `least` or more; of equals the first by name and id. Missing where the name cannot
        be compared."""
        return self._remembered(name, least, day)

    def resembles(self, name: str, least: int, day: int | None = None) -> Any:
        """Whether some entry in force on the day resembles the name by `least`, a percentage; missing where the name cannot be compared."""
        found = self.best(name, least, day)
        return found if found.__class__ is Missing else found is not None

    def nearest(self, name: str, day: int | None = None) -> Match | None:
        """The entry that resembles the name most, however little, down to 60%: for people who ask why there was no match."""
        found = (self._best(name, least * PERCENT_UNIT // 100, day) for least in (90, 80, 70, 60))
        return next((match for match in found if isinstance(match, Match)), None)

    def _best(self, name: str, least: int, day: int | None = None) -> Match | Missing | None:
        spelling = spell(name)
        if isinstance(spelling, Missing):
            return spelling
        hundredths, best = -(-least // HUNDREDTH), None
        for match in self._matches(spelling, hundredths, day):
            if best is None or match.rank < best.rank:
                best = match
        return best

    def _matches(self, spelling: Spelling, least: int, day: int | None) -> Iterator[Match]:
        """With names of a script with vowels as they stand, with others without any; two names without vowels as they stand."""
        for vowels in (True, False):
            alike = vowels == spelling.vowels
            if not self._halves[vowels]:
                continue
            words = spelling.words if alike else bare(spelling.words)
            index, entries = self._index(vowels, not alike)
            mine = code(words)
            for spelt in index.near(words, least):
                found = likeness(mine, code(tuple(spelt.split(" "))))
                if found >= least:
                    yield from (Match(found, entry) for entry in entries[spelt] if entry.on(day))

    def _index(self, vowels: bool, without: bool) -> tuple[Index, dict[str, list[Entry]]]:
        """The index of the entries whose script writes vowels, or of the others; with `without` by their consonants."""
        if (vowels, without) not in self._indexes:
            entries: dict[str, list[Entry]] = {}
            for spelling, entry in self._halves[vowels]:
                entries.setdefault(" ".join(bare(spelling.words) if without else spelling.words), []).append(entry)
            self._indexes[(vowels, without)] = (Index(list(entries)), entries)
        return self._indexes[(vowels, without)]

    @cached_property
    def _halves(self) -> tuple[list[tuple[Spelling, Entry]], list[tuple[Spelling, Entry]]]:
        """The entries whose script writes no vowels, and the others."""
        spelt = [(spelling, entry) for entry in self.entries if not isinstance(spelling := spell(entry.name), Missing)]
        return [pair for pair in spelt if not pair[0].vowels], [pair for pair in spelt if pair[0].vowels]

    def nameless(self) -> Iterator[Entry]:
        """The entries that no name can resemble: without a letter or digit, or too long for a name."""
        return (entry for entry in self.entries if len(entry.name) > LONGEST or not any(map(str.isalnum, entry.name)))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Names) and self.entries == other.entries)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.entries)
        return self._hash

    def __repr__(self) -> str:
        return f"Names({len(self.entries)} entries)"
