"""A `rates` file: what it declares, and the rates of the file it names, which has the columns `date`, `currency` and `rate`."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.currencies import DIGITS
from engine.lang import ast, beside, literals
from engine.rates import RATE_MAX, Rates
from engine.reading import read_value, shown
from engine.values import DATE, DAY, Missing, date_of

if TYPE_CHECKING:
    from engine.lang.problems import Report

COLUMNS: Final = ("date", "currency", "rate")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_OLDEST: Final = 366
_MOST: Final = 20


def rates(tree: ast.File, report: Report, folder: Path | None, workspace: Path | None) -> Rates | None:
    """The rates that a `rates` file declares, loaded; none with the problems noted."""
    oldest, base = _oldest(tree, report), _base(tree, report)
    if tree.rows is None:
        report.error("rates-incomplete", f"the rates `{tree.name.text}` name no file", tree.name.span, 'add `rows from "FILE.csv"`')
        return None
    source = beside.columns(report, tree.rows, folder, workspace)
    if source is None:
        return None
    for name in COLUMNS:
        if name not in source.header:
            there = ", ".join(f"`{known}`" for known in source.header[:20])
            message = f"the file `{source.path.name}` has no column `{name}`; it has {there}"
            report.error("unknown-column", message, tree.rows.span, "rates have the columns `date`, `currency` and `rate`")
    if report.failed or oldest is None or base is None:
        return None
    reader = _Reader(tree.rows, base, report)
    beside.guarded(report, tree.rows, source.path, lambda: reader.read(source))
    if not report.failed and not reader.found:
        report.error("table-unreadable", f"the file `{source.path.name}` holds no rate", tree.rows.span)
    return None if report.failed else _whole(tree, base, oldest, reader, source.path)


def _base(tree: ast.File, report: Report) -> str | None:
    if tree.base is None:
        hint = "add `base EUR`: rates say how much of a currency one unit of the base buys"
        report.error("rates-incomplete", f"the rates `{tree.name.text}` do not name their base", tree.name.span, hint)
        return None
    return tree.base.text if literals.known_currency(tree.base.text, tree.base.span, report) else None


def _oldest(tree: ast.File, report: Report) -> int | None:
    """How many days old a rate may be."""
    if tree.oldest is None:
        hint = "add `no more than 7 days old`, so that weekends and holidays have a rate and nothing older is taken for one"
        report.error("rates-incomplete", f"the rates `{tree.name.text}` do not say how old one may be", tree.name.span, hint)
        return None
    constant = literals.constant(tree.oldest, report, "UTC")
    if constant is None:
        return None
    if constant.type.kind != "duration" or constant.value % DAY or not 0 <= constant.value <= _OLDEST * DAY:
        report.error("bad-length", f"this must be a whole number of days, {_OLDEST} at most", tree.oldest.span, "write `7 days`")
        return None
    return int(constant.value // DAY)


@dataclass
class _Reader:
    """The rates of a file as decimals, by currency and day; what is no rate is noted with its row."""

    word: ast.Word
    base: str
    report: Report
    found: dict[str, dict[int, Decimal]] = field(default_factory=dict)
    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    told: int = 0

    def read(self, source: beside.Columns) -> None:
        for numbers, cells in source.cells([source.header.index(name) for name in COLUMNS]):
            for number, day, currency, rate in zip(numbers, *cells, strict=True):
                self._take(number, day, currency, rate)
        if self.told > _MOST:
            self.report.error("bad-rate", f"and {self.told - _MOST:_} more rows of the file", self.word.span)

    def _take(self, number: int, day: Any, currency: Any, rate: Any) -> None:
        on, much = read_value(DATE, day), _decimal(rate)
        if on.__class__ is Missing:
            self._bad(number, f"`{shown(day)}` is no date")
        elif currency not in DIGITS:
            self._bad(number, f"`{shown(currency)}` is no currency of ISO 4217")
        elif much is None:
            self._bad(number, f"`{shown(rate)}` is no rate", "a rate is a decimal number, like `1.0823`")
        elif much <= 0:
            self._bad(number, f"the rate `{shown(rate)}` of {currency} is not above nought")
        elif currency == self.base:
            if much != 1:
                self._bad(number, f"{currency} is the base, and its rate is 1, not `{shown(rate)}`")
        elif (currency, on) in self.rows:
            there = self.rows[currency, on]
            self._bad(
                number, f"{currency} has a second rate on {date_of(on).isoformat()}; the first stands in row {there}", "keep one of them"
            )
        else:
            self.rows[currency, on] = number
            self.found.setdefault(currency, {})[on] = much

    def _bad(self, number: int, what: str, hint: str | None = None) -> None:
        self.told += 1
        if self.told <= _MOST:
            self.report.error("bad-rate", f"row {number} of the file `{self.word.text}`: {what}", self.word.span, hint)


def _decimal(raw: Any) -> Decimal | None:
    """A rate as it is written; of a float its shortest decimal text."""
    if isinstance(raw, bool) or raw is None:
        return None
    text = (repr(raw) if isinstance(raw, float) else str(raw)).strip()
    negative = text.startswith("-")
    if not _NUMBER.fullmatch(text.removeprefix("-")) or len(text) > 60:
        return None
    return -Decimal(text.removeprefix("-")) if negative else Decimal(text)


def _whole(tree: ast.File, base: str, oldest: int, reader: _Reader, path: Path) -> Rates | None:
    """The rates counted in the smallest step that any of them has."""
    every = [rate.normalize() for days in reader.found.values() for rate in days.values()]
    decimals = max([0, *(-int(rate.as_tuple().exponent) for rate in every)])
    if any(rate.scaleb(decimals) > RATE_MAX for rate in every) or 10**decimals > RATE_MAX:
        message = f"the file `{path.name}` has rates of more than 18 digits, from the largest to the last decimal of the finest"
        reader.report.error("bad-rate", message, reader.word.span, "round the finest ones")
        return None
    published = {
        currency: (sorted(days), [int(days[day].scaleb(decimals)) for day in sorted(days)])
        for currency, days in sorted(reader.found.items())
    }
    digest = hashlib.sha256(repr([base, oldest, decimals, published]).encode()).hexdigest()
    return Rates(tree.name.text, tree.version.text, base, decimals, oldest, published, digest)
