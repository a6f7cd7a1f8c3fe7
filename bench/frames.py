"""Workload W over a frame: what every contender gives of all rows, compared row by row before anything is timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from bench import workload as w
from bench.dialects import polars_conditions, polars_leaf, sql_query
from bench.workload import COLUMNS, HIGH_RISK, MISSING, TEXTS, Compare, Condition, Listed, Prefix, Workload
from engine import Engine


def frame(rows: int, *, missing: float = MISSING, seed: int = w.SEED) -> pl.DataFrame:
    """Events of the same kind as `workload.events`, drawn a column at a time."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {"id": np.char.add("E", np.char.zfill(np.arange(rows).astype("U7"), 7))}
    for name in w.NUMBERS:
        drawn = random.random(rows) if name == "risk" else random.lognormal(*w.LOGNORMAL[name], rows)
        columns[name] = np.round(drawn, 4 if name == "risk" else 2)
    columns["payments_7d"] = np.minimum(40, random.exponential(5.0, rows)).astype(np.int64)
    columns["account_age"] = random.integers(0, 5_001, rows)
    columns["hour"] = random.integers(0, 24, rows)
    columns["failed_logins"] = np.minimum(9, random.exponential(1 / 0.9, rows)).astype(np.int64)
    for name, values in TEXTS.items():
        few = max(2, len(values) // 12)
        common = random.random(rows) < w.COMMON.get(name, 0.0)
        columns[name] = np.array(values)[np.where(common, random.integers(0, few, rows), random.integers(0, len(values), rows))]
    columns |= {name: random.random(rows) < share for name, share in zip(w.FLAGS, (0.02, 0.1), strict=True)}
    made = pl.DataFrame(columns).with_columns(
        *(pl.when(pl.Series(random.random(rows) >= missing)).then(pl.col(name)).alias(name) for name in COLUMNS)
    )
    return made.with_columns((pl.lit(w.START) + pl.duration(seconds=pl.int_range(pl.len()))).alias("at"))


def contenders(work: Workload, engine: Engine, rows: int) -> tuple[str, dict[str, Callable[[], Any]]]:
    """What is measured, and by whom; raises `AssertionError` where two do not agree in every row."""
    given = frame(rows)
    coded = given.with_columns(pl.col(name).cast(pl.Enum(TEXTS[name])) for name in TEXTS)
    made: dict[str, Callable[[], pl.DataFrame]] = {
        "kaskade, decide_batch": lambda: engine.decide_batch(given),
        "kaskade, from columns that are coded already": lambda: engine.decide_batch(coded),
        "polars, an expression a rule": lambda: by_polars(work, given, polars_leaf),
        "polars by hand on codes, coding included": lambda: by_polars(work, _codes(given), _on_codes, shared=True),
        "polars by hand on codes": lambda: by_polars(work, _codes(coded), _on_codes, shared=True),
    }
    query = sql_query(work, "numbered")
    try:
        import duckdb
    except ImportError:
        print("duckdb is not installed: left out")
    else:
        connection = duckdb.connect()
        connection.execute("SET threads = 2")
        connection.register("arrived", given.with_row_index("row").to_arrow())
        connection.execute("CREATE TABLE numbered AS SELECT * FROM arrived")
        made["DuckDB, one query"] = lambda: pl.DataFrame(connection.sql(query).to_arrow_table())
    wanted = _answers(made["polars, an expression a rule"](), engine, work)
    for name, answer in made.items():
        assert _answers(answer(), engine, work).equals(wanted), f"{name} differs"
    return f"{rows:,} rows, {len(work.rules)} rules, {MISSING:.0%} of fields missing", dict(made)


def _answers(found: pl.DataFrame, engine: Engine, work: Workload) -> pl.DataFrame:
    """Outcome, score and hits in one form: our bits come as lists of words."""
    if "hits" in found.columns:
        words = (len(work.rules) + 63) // 64
        assert engine.rule_ids == tuple(rule.id for rule in work.rules)
        found = found.select("outcome", "score", *(pl.col("hits").arr.get(n).alias(f"hits_{n}") for n in range(words)))
    hits = [name for name in found.columns if name.startswith("hits_")]
    return found.select(pl.col("outcome").cast(pl.String), pl.col("score").cast(pl.Int64), *(pl.col(name).cast(pl.UInt64) for name in hits))


def by_polars(work: Workload, given: pl.DataFrame, leaf: Callable[[Condition], pl.Expr], *, shared: bool = False) -> pl.DataFrame:
    """Outcome, score, and hits as words of 64 bits; with `shared` every condition that several rules have is named once."""
    leaves: dict[Condition, pl.Expr] = {}

    def named(node: Condition) -> pl.Expr:
        leaves.setdefault(node, leaf(node).alias(f"c{len(leaves)}"))
        return pl.col(f"c{list(leaves).index(node)}")

    conditions = polars_conditions(work, named if shared else leaf)
    lazy = given.lazy().select(leaves.values()) if shared else given.lazy()
    lazy = lazy.select(one.alias(f"r{n}") for n, one in enumerate(conditions))
    score = pl.sum_horizontal(pl.col(f"r{n}").cast(pl.Int32) * rule.points for n, rule in enumerate(work.rules))
    words = [
        pl.sum_horizontal(pl.col(f"r{n}").cast(pl.UInt64) * (1 << n % 64) for n in range(first, min(first + 64, len(work.rules))))
        for first in range(0, len(work.rules), 64)
    ]
    lazy = lazy.select(score.alias("score"), *(word.alias(f"hits_{n}") for n, word in enumerate(words)))
    outcome = pl.when(pl.col("score") >= work.block).then(pl.lit("block")).when(pl.col("score") >= work.review).then(pl.lit("review"))
    return lazy.with_columns(outcome.otherwise(pl.lit("approve")).alias("outcome")).collect()


def _codes(given: pl.DataFrame) -> pl.DataFrame:
    """Every text as the number of its value."""
    coded = (pl.col(name).cast(pl.Enum(values)).to_physical().cast(pl.UInt16) for name, values in TEXTS.items())
    return given.with_columns(coded)


def _on_codes(node: Condition) -> pl.Expr:
    """A condition over codes: a text is a number, a beginning a set of numbers."""
    match node:
        case Compare(column, op, str() as value):
            place = TEXTS[column].index(value)
            return pl.col(column) == place if op == "=" else pl.col(column) != place
        case Listed(column):
            return pl.col(column).is_between(TEXTS[column].index(HIGH_RISK[0]), TEXTS[column].index(HIGH_RISK[-1]))
        case Prefix(column, text):
            return pl.col(column).is_in([n for n, value in enumerate(TEXTS[column]) if value.startswith(text)])
    return polars_leaf(node)
