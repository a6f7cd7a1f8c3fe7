"""What can be said of a decision table before any event is seen: rows that overlap, events that no row takes, rows that others hide.

Cautious where a cell depends on more than the value of its column: then it says that it cannot tell.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from engine.lang import dated, ir, judge
from engine.lang.axes import Axis, axis, bits, following, runs
from engine.lang.cover import Box, Space, TooMuch
from engine.lang.problems import Report
from engine.values import DATE, Type, Value, decimal, show

if TYPE_CHECKING:
    from engine.lang.entries import Days

_MOST_TOLD: Final = 5
"""So many findings of one kind are told of a table."""


def axes(table: ir.Table, never_negative: Container[str] = ()) -> tuple[Axis, ...]:
    """The columns of a table; `never_negative` are the names whose values have no sign."""
    found = []
    for place, (_, subject) in enumerate(table.inputs):
        cells = [cell for row in table.rows if (cell := row.cells[place]) is not None]
        numeric = subject.type.kind in ("integer", "money", "number", "percent", "duration")
        least = 0 if numeric and judge.never_negative(subject, never_negative) else None
        found.append(axis(subject, cells, least=least))
    return tuple(found)


def prove(table: ir.Table, report: Report, never_negative: Container[str] = ()) -> ir.Table:
    """The table with what is proved of it; what speaks against it is noted. Where cells depend on the day each stretch of days is a table
    of its own; nothing is proved of days on which something that a cell names is not in force, and nothing held against it."""
    cells = {id(cell): cell for row in table.rows for cell in row.cells if cell is not None}  # many rows share one
    days = dated.cuts(cells.values())
    if not days:
        return _Proof(table, report, axes(table, never_negative)).run()
    proved = complete = True
    told: set[tuple[str, str]] = set()
    for stretch in dated.stretches(days):
        there, own = _on(table, dated.a_day(stretch)), Report()
        if not all(dated.in_force(node) for row in there.rows for cell in row.cells if cell is not None for node in ir.walk(cell)):
            proved = complete = False
            continue
        made = _Proof(there, own, axes(there, never_negative)).run()
        proved, complete = proved and made.proved, complete and made.complete
        for one in own.found:
            if (one.code, one.message) not in told:
                told.add((one.code, one.message))
                report.add(replace(one, message=f"{one.message}{_since(stretch)}"))
    return replace(table, proved=proved, complete=complete)


def _on(table: ir.Table, day: int) -> ir.Table:
    """The table as it stands on one day."""
    rows = (replace(row, cells=tuple(None if cell is None else dated.on(cell, day) for cell in row.cells)) for row in table.rows)
    return replace(table, rows=tuple(rows))


def _since(stretch: Days) -> str:
    start, end = stretch
    if start is not None:
        return f", from {show(start, DATE)} on"
    return "" if end is None else f", up to {show(end, DATE)}"


class _Proof:
    """`sure` are the events a row surely takes, `may` those it may take; they differ where a cell does not depend on its column alone."""

    def __init__(self, table: ir.Table, report: Report, columns: tuple[Axis, ...]) -> None:
        self.table, self.report, self.columns = table, report, columns
        every = tuple(column.every for column in columns)
        masks = [[column.of(cell) for column, cell in zip(columns, row.cells, strict=True)] for row in table.rows]
        self.sure = Space(every, [tuple(mask.sure for mask in row) for row in masks])
        self.may = Space(every, [tuple(mask.may for mask in row) for row in masks])
        if self.sure.boxes == self.may.boxes:
            self.may = self.sure
        self.unsure: list[str] = []

    def run(self) -> ir.Table:
        never = [number for number, box in enumerate(self.may.boxes) if not all(box)]
        for number in never[:_MOST_TOLD]:
            self._error("row-never", f"{self._row(number)} of the table `{self.table.name}` can never apply", number, "mend its cells")
        proved = complete = False
        try:
            proved = self.table.match == "unique" and self._apart()
            complete = self.table.match != "all" and self._complete(proved)
            if self.table.match == "first":
                self._hidden(never)
        except TooMuch:
            self.unsure.append("its rows lie across each other in too many ways")
        if self.unsure:
            said = " and ".join(dict.fromkeys(self.unsure))
            message = f"nobody can prove of the table `{self.table.name}` that its rows neither overlap nor leave gaps: {said}"
            self.report.warning("table-unproved", message, self.table.span, "tests and examples are all that speaks for it")
        return replace(self.table, proved=proved, complete=complete)

    # --- overlaps ----------------------------------------------------------------------------------------------------

    def _apart(self) -> bool:
        """Whether no two rows can apply at once."""
        told, apart = 0, True
        for one, other in self.may.overlaps():
            apart = False
            both = tuple(a & b for a, b in zip(self.sure.boxes[one], self.sure.boxes[other], strict=True))
            if not all(both):
                self._unclear(one, other)
            elif told < _MOST_TOLD:
                told += 1
                message = f"{self._rows([one, other])} of the table `{self.table.name}` both apply to `{self._cells(both)}`"
                hint = "make one of them narrower, or let the first that applies count: `first match`"
                self._error("table-overlap", message, other, hint, one)
            else:
                break
        return apart

    def _unclear(self, *rows: int) -> None:
        """Say which column keeps rows from being told apart."""
        for number in rows:
            for (name, _), column, cell in zip(self.table.inputs, self.columns, self.table.rows[number].cells, strict=True):
                if column.of(cell).sure != column.of(cell).may:
                    self.unsure.append(f"in the column `{name}` {self._row(number)} does not depend on that column alone")
                    return

    # --- gaps --------------------------------------------------------------------------------------------------------

    def _complete(self, proved: bool) -> bool:
        """Whether some row always applies."""
        rows = range(len(self.table.rows))
        hole = self.sure.hole(self.sure.whole, rows)
        if hole is None or self.table.otherwise is not None or not self.table.rows:
            return hole is None
        found: list[Box] = []
        while hole is not None and len(found) < _MOST_TOLD:
            hole = self.may.hole(self.may.whole, rows, found) if found or self.may is not self.sure else hole
            if hole is not None:
                found.append(self.may.widened(hole, found))
        if not found:
            self._unclear(*rows)
        for box in found:
            message = f"no row of the table `{self.table.name}` applies to `{self._cells(box)}`"
            self.report.warning("table-gap", message, self.table.span, "add such a row, or a last row `otherwise`")
        return False

    # --- hidden rows -------------------------------------------------------------------------------------------------

    def _hidden(self, never: Iterable[int]) -> None:
        """Rows of a table of first match that earlier rows leave nothing to."""
        told, skipped = 0, set(never)
        for number, box in enumerate(self.may.boxes):
            earlier = self.sure.meeting(box) & ((1 << number) - 1) if number not in skipped else 0
            if earlier and self.sure.hole(box, bits(earlier)) is None:
                told += 1
                if told > _MOST_TOLD:
                    break
                by = self._hiding(box, list(bits(earlier)))
                message = (
                    f"{self._row(number)} of the table `{self.table.name}` never applies: {self._rows(by)} come{'s' * (len(by) == 1)} first"
                )
                self._error("row-hidden", message, number, "put it above them, or take it out", *by)

    def _hiding(self, box: Box, rows: list[int]) -> list[int]:
        """As few of the rows as will do."""
        for number in rows:
            if all(cell & ~cover == 0 for cell, cover in zip(box, self.sure.boxes[number], strict=True)):
                return [number]
        for number in rows if len(rows) <= 40 else ():
            rest = [other for other in rows if other != number]
            if self.sure.hole(box, rest) is None:
                rows = rest
        return rows

    # --- words -------------------------------------------------------------------------------------------------------

    def _error(self, code: str, message: str, number: int, hint: str, *related: int) -> None:
        others = tuple((f"{self._row(other)} stands here", self.table.rows[other].span) for other in related[:_MOST_TOLD])
        self.report.error(code, message, self.table.rows[number].span, hint, others)

    def _row(self, number: int) -> str:
        return f"row {self.table.rows[number].number}"

    def _rows(self, numbers: list[int]) -> str:
        if len(numbers) == 1:
            return self._row(numbers[0])
        names = [str(self.table.rows[number].number) for number in numbers]
        shown = names if len(names) <= 6 else [*names[:5], f"{len(names) - 5} more"]
        return f"rows {', '.join(shown[:-1])} and {shown[-1]}"

    def _cells(self, box: Box) -> str:
        return f"| {' | '.join(shown(column, mask) for column, mask in zip(self.columns, box, strict=True))} |"


# --- classes as cells ------------------------------------------------------------------------------------------------


def shown(column: Axis, mask: int) -> str:
    """Some of the classes of a column as an author could write them in a cell."""
    gone = 0 if column.missing is None else 1 << column.missing
    if mask == column.every:
        return "any"
    if mask == gone:
        return "missing"
    mask &= ~gone
    if mask == column.every & ~gone:
        return "known"
    return _by_name(column, mask) if column.named is not None else _by_order(column, mask)


def _by_name(column: Axis, mask: int) -> str:
    named = column.named or {}
    others = column.other is not None and bool(mask >> column.other & 1)
    values = sorted((value for value, place in named.items() if bool(mask >> place & 1) is not others), key=repr)
    literals = [literal(value, column.type) for value in values[:4]]
    if len(values) == 1:
        return f"!= {literals[0]}" if others else literals[0]
    rest = f", and {len(values) - 4} more" if len(values) > 4 else ""
    return f"{'not in' if others else 'in'} ({', '.join(literals)}{rest})"


def _by_order(column: Axis, mask: int) -> str:
    """The first stretch of classes."""
    low, high = next(runs(mask))
    start = None if low == 0 else column.cuts[low - 1]
    end = None if high > len(column.cuts) else column.cuts[high - 1]
    if column.floor and low == column.floor and following(start) != end:
        start = None  # nothing lies below
    type_ = column.type
    if start is not None and following(start) == end:
        return literal(start, type_)
    opening, first = _bound(start, type_, ("[", "]"))
    closing, last = _bound(end, type_, ("[", "]"))
    if start is None:
        return f"{'<' if closing == '[' else '<='} {last}"
    if end is None:
        return f"{'>=' if opening == '[' else '>'} {first}"
    return f"{opening}{first} .. {last}{closing}"


def _bound(value: Value, type_: Type, brackets: tuple[str, str]) -> tuple[str, str]:
    """The bracket for a first value, or for the first beyond, and the value as its author wrote it: one step back where that is shorter."""
    if value is None:
        return brackets[0], ""
    if isinstance(value, str):
        return (brackets[1], literal(value[:-1], type_)) if value.endswith("\0") else (brackets[0], literal(value, type_))
    if isinstance(value, float):
        from_below = -following(-value)
        if len(repr(from_below)) < len(repr(value)):
            return brackets[1], literal(from_below, type_)
    return brackets[0], literal(value, type_)


def literal(value: Value, type_: Type) -> str:
    """A value as an author writes it.

    >>> literal(1_000_050, Type("money", currency="USD")), literal("IR", Type("text"))
    ('10_000.50 USD', '"IR"')
    """
    if type_.kind == "text":
        return f'"{value}"'
    if type_.kind == "money" and type_.currency is not None and type_.scale == 1:
        amount: Decimal = decimal(value, type_)
        whole = amount == amount.to_integral_value()
        return f"{amount:,.0f} {type_.currency}".replace(",", "_") if whole else show(value, type_).replace(",", "_")
    return show(value, type_)
