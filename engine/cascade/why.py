"""Why a condition did not hold, and which row of a table applied: from a trace to words. The reference backend is the witness."""

from __future__ import annotations

from collections.abc import Iterator

from engine.backends import reference
from engine.backends.names import told
from engine.cascade.lacks import RuleSetLevel
from engine.cascade.phrase import phrase
from engine.lang import ir
from engine.plan import DAY_OF_EVENT
from engine.values import Value, known, show

_MOST_ROWS = 4


def false_parts(trace: reference.Trace) -> Iterator[reference.Trace]:
    """The smallest parts whose being false made the whole false."""
    if isinstance(trace.expr, ir.And):
        for child in trace.children:
            if child.value is False:
                yield from false_parts(child)
                return
    elif isinstance(trace.expr, ir.Or):
        for child in trace.children:
            yield from false_parts(child)
    elif isinstance(trace.expr, ir.Dated) and trace.value is False:
        yield from false_parts(trace.children[-1])
    elif trace.value is False:
        yield trace


def nearest(part: reference.Trace) -> str:
    """The entry of a list that a name came nearest to, where it resembles none enough."""
    if not isinstance(part.expr, ir.Resembles):
        return ""
    best = part.expr.names.nearest(*(child.value for child in part.children))
    return "" if best is None else f"; nearest is {told(part.expr, best)}"


def read_values(trace: reference.Trace) -> str:
    """What the parts of an expression read, in parentheses; nothing where they read nothing but flags."""
    seen: dict[str, str] = {}

    def collect(part: reference.Trace) -> None:
        if isinstance(part.expr, ir.Read) and part.expr.type.kind != "flag" and part.expr.name != DAY_OF_EVENT:
            seen[part.expr.name] = show(part.value, part.expr.type)
        for child in part.children:
            collect(child)

    collect(trace)
    return f" ({', '.join(f'{name} = {value}' for name, value in seen.items())})" if seen else ""


# --- tables ----------------------------------------------------------------------------------------------------------


def table_lines(table: ir.Table, level: RuleSetLevel) -> list[str]:
    """What a table came to: the rows that apply or may, what they give, and why the nearest others do not apply."""
    judged = reference.judged_rows(table, level.work)
    rows = level.candidates(table)
    head = f"  table {table.name}" + (f" ({table.title})" if table.title else "") + (f" [{'; '.join(table.cites)}]" if table.cites else "")
    lines = [f"{head}: {_applies(table, rows, judged)}{_given(table, level)}"]
    lacks = {(lack.name, lack.cause) for lack in level.undecided_rows(table)}
    if lacks:
        lines.append("    lacks " + ", ".join(f"{name} ({cause})" for name, cause in sorted(lacks)))
    return lines + [f"    {line}" for line in _others(table, judged, rows, level)]


def row_name(table: ir.Table, row: ir.TableRow | None) -> str:
    """A row as people find it: its number, and the line or the file it stands in."""
    if row is None:
        return "no row"
    if row is table.otherwise:
        return "otherwise"
    return f"row {row.number}" + (f" (line {row.span.line})" if row.span.file == table.span.file else f" of {row.span.file}")


def _applies(table: ir.Table, rows: tuple[ir.TableRow | None, ...], judged: list[tuple[ir.TableRow, Value]]) -> str:
    names = [row_name(table, row) for row in rows[:_MOST_ROWS]] + ([f"{len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else [])
    states = {id(row): state for row, state in judged}
    sure = all(row is None or states.get(id(row), True) is True for row in rows)
    if len(rows) == 1 and sure:
        return f"{names[0]} applies"
    if sure and table.match != "first":
        return f"{' and '.join(names)} apply"
    return f"{' or '.join(names)} may apply"


def _given(table: ir.Table, level: RuleSetLevel) -> str:
    given = [f"{column.name} = {show(level.work[column.name], column.type)}" for column in table.outputs]
    if table.gives_points:
        worth = level.work[ir.points(table.name)]
        given.append(f"score {worth:+d}" if known(worth) else f"score {worth.low:+d} to {worth.high:+d}")
    return f": {', '.join(given)}"


def _others(
    table: ir.Table, judged: list[tuple[ir.TableRow, Value]], rows: tuple[ir.TableRow | None, ...], level: RuleSetLevel
) -> list[str]:
    """Why other rows do not apply: those that come nearest, in their order. Of a first match those below were not looked at."""
    taken = {id(row) for row in rows}
    last = max((at for at, (row, _) in enumerate(judged) if id(row) in taken), default=len(judged))
    looked_at = judged if table.match != "first" or None in rows or table.otherwise in rows else judged[:last]
    failed = [(_false_cells(row, level), row) for row, state in looked_at if state is False]
    nearest = sorted(failed, key=lambda one: (len(one[0]), one[1].number))[:_MOST_ROWS]
    lines = [f"{row_name(table, row)} does not: {cells[0]}" for cells, row in sorted(nearest, key=lambda one: one[1].number)]
    rest = len(failed) - len(nearest)
    return lines + ([f"nor {'does one other row' if rest == 1 else f'do {rest:,} other rows'}"] if rest else [])


def _false_cells(row: ir.TableRow, level: RuleSetLevel) -> list[str]:
    """The cells of a row that do not hold, with what they read."""
    found = []
    for cell in row.cells:
        trace = reference.trace(cell, level.work) if cell is not None else None
        if trace is not None and trace.value is False:
            part = next(false_parts(trace), trace)
            found.append(f"{phrase(part.expr)} is false{read_values(part)}")
    return found
