"""What reference tables and rates cost: loading a million rows, looking one up, and a million events at once. See README.md beside it."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from engine.backends import columnar, single
from engine.lang import check, ir
from engine.lang.parse import parse
from engine.rates import Rates
from engine.reference_table import ReferenceTable
from engine.values import DATETIME, DAY, TEXT, Type

DECLARED = """
table bench/customers version 1.0.0
  rows from "{file}"
  key customer
{dates}
  column customer: text
  column segment: one of ("retail", "private", "corporate")
  column income: money USD optional
  column opened_on: date
"""
DATES = '  valid "from" to "to"\n  known from "loaded"'
USD, EUR = Type("money", currency="USD"), Type("money", currency="EUR")
NOW = ir.Read("now", type=DATETIME)


def taken(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, which other work on the machine disturbs least, and what came of it."""
    start = time.process_time()
    made = work()
    return time.process_time() - start, made


def written(folder: Path, rows: int) -> None:
    """Customers, every tenth of them with two rows, as CSV and Parquet."""
    number = pl.int_range(rows, eager=True)
    later = number % 11 == 10
    frame = pl.DataFrame({"n": number - number // 11 - later.cast(pl.Int64), "later": later}).select(
        customer=pl.format("C{}", pl.col("n")),
        segment=pl.when(pl.col("n") % 3 == 0)
        .then(pl.lit("retail"))
        .when(pl.col("n") % 3 == 1)
        .then(pl.lit("private"))
        .otherwise(pl.lit("corporate")),
        income=pl.when(pl.col("n") % 7 != 0).then(pl.format("{}.50", pl.col("n") % 9_973)),
        opened_on=pl.lit("2015-01-31"),
        **{"from": pl.when("later").then(pl.lit("2026-01-01")).otherwise(pl.lit("2020-01-01"))},
        to=pl.when(~pl.col("later")).then(pl.lit("2025-12-31")),
        loaded=pl.when("later").then(pl.lit("2026-01-02T08:00:00Z")).otherwise(pl.lit("2020-01-02T08:00:00Z")),
    )
    frame.write_csv(folder / "customers.csv")
    frame.write_parquet(folder / "customers.parquet")
    # without dates a customer stands there once
    frame.unique("customer", keep="first", maintain_order=True).write_csv(folder / "once.csv")


def loaded(folder: Path, file: str, dates: str) -> tuple[float, ReferenceTable]:
    tree, _ = parse(DECLARED.format(file=file, dates=dates), "customers.rules")
    assert tree is not None
    seconds, (table, problems) = taken(lambda: check.check_table(tree, folder, folder))
    assert isinstance(table, ReferenceTable), problems
    return seconds, table


def one_by_one(expr: ir.Expr, rows: list[dict[str, Any]]) -> float:
    """Nanoseconds an event, the reading of the row and the call of the function included."""
    compute, nothing = single.compile_expr(expr), single.compile_expr(ir.Read("account", type=TEXT))
    compute(rows[0])
    best = min(taken(lambda: [compute(row) for row in rows])[0] for _ in range(5))
    less = min(taken(lambda: [nothing(row) for row in rows])[0] for _ in range(5))
    return (best - less) / len(rows) * 1e9


def at_once(expr: ir.Expr, frame: pl.DataFrame) -> tuple[float, float]:
    """Seconds of the first time, in which what the table needs for frames is made, and of the best one after."""
    compute = columnar.compile_exprs({"x": expr})
    return taken(lambda: compute(frame))[0], min(taken(lambda: compute(frame))[0] for _ in range(3))


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--rows", type=int, default=1_000_000)
    rows = wanted.parse_args().rows
    keys = pl.int_range(rows, eager=True) * 7_919 % rows
    frame = pl.DataFrame({"account": pl.select(pl.format("C{}", keys)).to_series(), "amount": keys * 13 % 9_999_991})
    frame = frame.with_columns(now=(20_454 + keys % 60) * DAY)
    events = frame.head(20_000).to_dicts()
    days = list(range(20_000, 20_600))
    rates = Rates("bench/fx", "1.0.0", "EUR", 4, 7, {code: (days, [10_000 + day % 997 for day in days]) for code in ("USD", "JPY")})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, rows)
        tables = [
            ("CSV, no dates", "once.csv", ""),
            ("CSV, valid and known from", "customers.csv", DATES),
            ("Parquet, the same", "customers.parquet", DATES),
        ]
        for label, file, dates in tables:
            seconds, table = loaded(folder, file, dates)
            expr = ir.Lookup(table, "segment", (ir.Read("account", type=TEXT),), NOW if dates else None, "Europe/Berlin", type=TEXT)
            made, _ = taken(lambda table=table: table.steps("datetime", "Europe/Berlin") if table.dated else table.rows)
            first, again = at_once(expr, frame)
            print(f"{label}: {len(table):,} rows read in {seconds:.1f} s, ready in {made:.1f} s more")
            print(f"  looked up one by one: {one_by_one(expr, events):.0f} ns; {frame.height:,} at once: {first:.2f} s, then {again:.2f} s")
    convert = ir.Convert(ir.Read("amount", type=USD), rates, NOW, "Europe/Berlin", type=EUR)
    first, again = at_once(convert, frame)
    print(f"converted one by one: {one_by_one(convert, events):.0f} ns; {frame.height:,} at once: {first:.2f} s, then {again:.2f} s")
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
