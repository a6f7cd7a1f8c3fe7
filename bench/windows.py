"""Windows over a frame beside DuckDB's and polars' own: the same fifteen features, checked row by row, timed in turns. See README.md."""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import duckdb
import polars as pl

from engine.features.columnar import WindowState, observe
from engine.features.spec import BoundFeatures
from engine.lang import ir
from engine.record import Field, Record
from engine.values import DATETIME, DAY, INTEGER, TEXT, Type
from tests.features.events import bound, days, feature

MONEY = Type("money", currency="USD")
LENGTHS = (1, 7, 30)
SPAN = 90 * DAY
WHERES = {"in": ("direction", "in"), "card": ("channel", "card")}
Way = Callable[[], pl.DataFrame]


def data(rows: int, keys: int, key: Type, seed: int) -> pl.DataFrame:
    """Transactions by time, no two at one moment, as the border hands them on."""
    draw = random.Random(seed)
    accounts = [draw.randrange(keys) for _ in range(rows)]
    columns = {
        "id": [f"T{place}" for place in range(rows)],
        "at": [20_000 * DAY + place * (SPAN // rows) for place in range(rows)],
        "account": accounts if key == INTEGER else [f"account {number}" for number in accounts],
        "amount": [draw.randrange(1, 1_000_000) for _ in range(rows)],
        "merchant": [f"merchant {draw.randrange(500)}" for _ in range(rows)],
        "direction": [draw.choice(["in", "out"]) for _ in range(rows)],
        "channel": [draw.choice(["card", "wire", "cash"]) for _ in range(rows)],
    }
    frame = pl.DataFrame(columns)
    return frame.with_columns(pl.lit(0, pl.UInt8).alias(f"{name}#") for name in columns)


def record(key: Type) -> Record:
    types = {"id": TEXT, "at": DATETIME, "account": key, "amount": MONEY, "merchant": TEXT, "direction": TEXT, "channel": TEXT}
    return Record("bench/payment", "1.0.0", "UTC", ("id",), "at", tuple(Field(name, type_) for name, type_ in types.items()), 0)


def wanted(where: bool) -> list[tuple[str, str, str | None, int, str | None]]:
    """Name, function, field, days and condition of every feature."""
    functions = [("sum", "amount"), ("count", None), ("mean", "amount"), ("max", "amount"), ("distinct", "merchant")]
    return [
        (f"{function}_{length}" + (f"_{on}" if on else ""), function, of, length, on)
        for on in (WHERES if where else [None])
        for length in LENGTHS
        for function, of in functions
    ]


# --- three ways ------------------------------------------------------------------------------------------------------


def ours(frame: pl.DataFrame, under: Record, where: bool) -> Way:
    """All that `observe` does: repeats are found, values judged, and causes and bounds said beside every value."""
    group = features(under, where)
    return lambda: observe(frame, WindowState([group], under, 0)).frame.select(name for name, *_ in wanted(where))


def features(under: Record, where: bool) -> BoundFeatures:
    def read(name: str) -> ir.Read:
        return ir.Read(name, type=under.field(name).type)

    def condition(on: str | None) -> ir.Expr | None:
        return None if on is None else ir.Compare("=", read(WHERES[on][0]), ir.Const(WHERES[on][1], type=TEXT))

    return bound(
        [feature(name, function, days(length), of and read(of), condition(on)) for name, function, of, length, on in wanted(where)], under
    )


def duck(frame: pl.DataFrame, where: bool) -> Way:
    """One statement with three windows; its threads as many as the others have."""
    calls = {"sum": "sum({})", "count": "count(*)", "mean": "avg({})", "max": "max({})", "distinct": "count(DISTINCT {})"}
    said = []
    for name, function, of, length, on in wanted(where):
        only = f" FILTER (WHERE {WHERES[on][0]} = '{WHERES[on][1]}')" if on else ""
        said.append(f"{calls[function].format(of)}{only} OVER w{length} AS {name}")
    windows = [
        f'w{length} AS (PARTITION BY account ORDER BY "at" RANGE BETWEEN {length * DAY - 1} PRECEDING AND CURRENT ROW)'
        for length in LENGTHS
    ]
    connection = duckdb.connect(config={"threads": pl.thread_pool_size()})
    connection.register("given", frame.to_arrow())
    connection.execute("CREATE TABLE payments AS SELECT * FROM given")
    statement = f"SELECT id, {', '.join(said)} FROM payments WINDOW {', '.join(windows)}"
    return lambda: pl.DataFrame(connection.sql(statement).to_arrow_table())


def polars(frame: pl.DataFrame, where: bool) -> Way:
    """Three rolling groups; what does not count is made null once before."""
    masked = frame.with_columns(
        pl.when(pl.col(field) == value).then(column).alias(f"{column}_{on}")
        for on, (field, value) in WHERES.items()
        for column in ("amount", "merchant")
    )

    def one(name: str, function: str, of: str | None, on: str | None) -> pl.Expr:
        column = pl.col(f"{of or 'amount'}_{on}" if on else of or "amount")
        said = {"sum": column.sum(), "count": column.count(), "mean": column.mean(), "max": column.max()}
        return said.get(function, column.drop_nulls().n_unique() if on else column.n_unique()).alias(name)

    def run() -> pl.DataFrame:
        parts = []
        for length in LENGTHS:
            exprs = [one(name, function, of, on) for name, function, of, days_, on in wanted(where) if days_ == length]
            rolled = masked.rolling("at", period=f"{length * DAY}i", group_by="account", closed="right").agg(*exprs)
            parts.append(rolled if not parts else rolled.drop("account", "at"))
        return pl.concat(parts, how="horizontal")

    return run


# --- side by side ----------------------------------------------------------------------------------------------------


def check(frame: pl.DataFrame, mine: pl.DataFrame, theirs: pl.DataFrame, by: list[str], where: bool) -> None:
    """Every value of every row; our means are rounded half-even to minor units, theirs are floats."""
    here = frame.select("id", "account", "at").hstack(mine)
    both = here.join(theirs, on=by, how="left", suffix=" there", validate="1:1")
    for name, function, *_ in wanted(where):
        one, other = both[name], both[f"{name} there"]
        if function == "sum":  # of no rows: nought here and in polars, null in SQL
            other = other.fill_null(0)
        if function == "mean":
            # a float64 next to a half may be rounded to either side of it
            far = (one - other).abs() > 0.5 + 1e-6
            assert not far.any() and (one.is_null() == other.is_null()).all(), name
        else:
            assert one.cast(pl.Int64).eq_missing(other.cast(pl.Int64)).all(), name


def measure(frame: pl.DataFrame, under: Record, where: bool, rounds: int, alone: bool) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds of every round, after one round whose answers are compared."""
    ways = {"engine": ours(frame, under, where)}
    if not alone:
        ways |= {"DuckDB": duck(frame, where), "polars": polars(frame, where)}
    answers = {name: way() for name, way in ways.items()}
    if not alone:
        check(frame, answers["engine"], answers["DuckDB"], ["id"], where)
        check(frame, answers["engine"], answers["polars"], ["account", "at"], where)
    del answers
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin, worked = time.perf_counter(), time.process_time()
            way()
            found[name].append((time.perf_counter() - begin, time.process_time() - worked))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Windows over a frame, beside DuckDB and polars.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="the engine by itself, with nothing to compare it to")
    given: Any = parser.parse_args()
    agree = "" if given.alone else "; all values agree"
    print(f"{given.rows:,} rows, {given.keys:,} keys, {pl.thread_pool_size()} threads, medians of {given.rounds}{agree}")
    print(f"{'':28} {'seconds':>8} {'CPU s':>8} {'times the engine':>17} {'by CPU':>8}")
    for key in (TEXT, INTEGER):
        frame, under = data(given.rows, given.keys, key, given.seed), record(key)
        for where in (False, True):
            found = measure(frame, under, where, given.rounds, given.alone)
            medians = {name: [statistics.median(part) for part in zip(*times, strict=True)] for name, times in found.items()}
            base = medians["engine"]
            for name, (wall, cpu) in medians.items():
                label = f"{key} keys, {'2 x 15' if where else '15'}, {name}"
                print(f"{label:28} {wall:>8.3f} {cpu:>8.3f} {wall / base[0]:>17.1f} {cpu / base[1]:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
