"""What a decision table says once its rows are judged: the definition, which every backend calls.

A row is judged true, false or missing; the rows handed in stand in their order, and those that are false may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from engine.lang import ir
from engine.values import Missing, Value, first, interval, known, missing

UNDECIDED: Final = missing("undecided")
NO_ROW: Final = missing("no row")
AMBIGUOUS: Final = missing("ambiguous")

Judged = Iterable[tuple[ir.TableRow, Value]]


class Match(NamedTuple):
    """The rows that apply or may apply, one of them in the end; none stands for no row at all. `clash` says whether two rows of a
    unique table apply at once; missing where they may."""

    rows: tuple[ir.TableRow | None, ...]
    clash: Value = False


def match(table: ir.Table, judged: Judged) -> Match:
    """What a table of unique or first match may come to.

    >>> from engine.lang.ir import Table, TableRow
    >>> one, two = TableRow(1, ()), TableRow(2, ())
    >>> [row.number for row in match(Table("t", "first", (), (), (one, two)), [(one, UNDECIDED), (two, True)]).rows]
    [1, 2]
    """
    may: list[ir.TableRow | None] = []
    sure: list[ir.TableRow] = []
    for row, state in judged:
        if state is not False:
            may.append(row)
        if state is True:
            sure.append(row)
            if table.match == "first":
                return Match(tuple(may))
    if table.match == "unique":
        if len(sure) > 1:
            return Match(tuple(may), True)
        if sure and (table.proved or len(may) == 1):
            return Match(tuple(sure))
        if sure:
            return Match(tuple(may), UNDECIDED)
    rest = [] if table.complete and may else [table.otherwise]
    return Match((*may, *rest), UNDECIDED if table.match == "unique" and len(may) > 1 and not table.proved else False)


def value(found: Match, output: int, value_of: Callable[[ir.Expr], Value]) -> Value:
    """What the table writes into one of its outputs: what the rows agree on, whatever a single one says."""
    if found.clash is not False:
        return AMBIGUOUS if found.clash is True else UNDECIDED
    said = [NO_ROW if row is None else value_of(row.values[output]) for row in found.rows]
    if len(said) == 1:
        return said[0]
    return said[0] if all(known(one) and one == said[0] for one in said) else UNDECIDED


def points(found: Match) -> Value:
    """The points of whichever row it is; none gives none."""
    worth = [0 if row is None else row.points for row in found.rows]
    return interval(min(worth), max(worth), "undecided")


# --- all matches -----------------------------------------------------------------------------------------------------


def matches(table: ir.Table, judged: Judged) -> list[tuple[ir.TableRow, Value]]:
    """The rows of a table of all matches that apply or may apply, and `otherwise` where no row does."""
    may = [(row, state) for row, state in judged if state is not False]
    if table.otherwise is not None and not any(state is True for _, state in may):
        may.append((table.otherwise, UNDECIDED if may else True))
    return may


def listed(rows: Iterable[tuple[ir.TableRow, Value]], output: int, value_of: Callable[[ir.Expr], Value]) -> Value:
    """Every value the rows write into one of the outputs, each once, in the order of the rows."""
    speaking = [(row.values[output], state) for row, state in rows if not says_nothing(row.values[output])]
    if any(state is not True for _, state in speaking):
        return UNDECIDED
    said = [value_of(expr) for expr, _ in speaking]
    return tuple(dict.fromkeys(said)) if all(map(known, said)) else first(one for one in said if not known(one))


def says_nothing(expr: ir.Expr) -> bool:
    """Whether a row leaves an output out."""
    return isinstance(expr, ir.Const) and expr.value.__class__ is Missing


def summed(rows: Iterable[tuple[int, Value]]) -> Value:
    """The points of rows or rules that apply; one that may apply may or may not add its own.

    >>> summed([(40, True), (60, missing("undecided")), (-5, False)])
    Interval(low=40, high=100, cause='undecided')
    """
    low = high = 0
    for worth, state in rows:
        if state is True:
            low, high = low + worth, high + worth
        elif state is not False:
            low, high = low + min(0, worth), high + max(0, worth)
    return interval(low, high, "undecided")


# --- whole tables ----------------------------------------------------------------------------------------------------


def written(table: ir.Table, judged: Judged, value_of: Callable[[ir.Expr], Value]) -> dict[str, Value]:
    """Everything a table writes, its points last, as `ir.written` names it."""
    if table.match == "all":
        rows = matches(table, judged)
        said = [listed(rows, place, value_of) for place in range(len(table.outputs))]
        worth = summed((row.points, state) for row, state in rows)
    else:
        found = match(table, judged)
        said = [value(found, place, value_of) for place in range(len(table.outputs))]
        worth = points(found)
    return dict(zip(ir.written(table), [*said, worth], strict=False))
