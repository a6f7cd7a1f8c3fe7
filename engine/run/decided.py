"""The decision columns of many events, read off the frames of both readings. It knows columns, not what steps do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from engine.backends.columnar_steps import UNDECIDED
from engine.backends.rules import POSSIBLE
from engine.plan import NOW, TICK, Plan
from engine.run.border import ROW
from engine.run.shown import shown

WORD = 64
PER = "per."
"""What stands before the key fields of ticks, as columns of decisions."""


def bits(column: str, names: Sequence[str]) -> pl.Expr:
    """A column of lists of names as bits, in the order of all names, 64 to a word."""
    return _bits([pl.col(column).list.contains(name) for name in names]).alias(column)


class Columns:
    """The columns of a plan's decisions. With the key fields of ticks in `per` they say in `tick` what is one, and give these fields as
    ``per.FIELD``."""

    def __init__(self, plan: Plan, *, detail: str, values: bool, per: Sequence[str] | None) -> None:
        self.plan, self.detail, self.values, self.per = plan, detail, values, per

    def of(self, closed: pl.DataFrame, opened: pl.DataFrame) -> pl.DataFrame:
        """The decision columns of both readings, in the order of the rows."""
        if not opened.height:
            return self._columns(closed, closed)
        touched = closed[ROW].is_in(opened[ROW].implode())
        plain = closed.filter(~touched)
        parts = pl.concat([self._columns(plain, plain), self._columns(closed.filter(touched), opened)])
        return closed.select(ROW).join(parts, on=ROW, how="left", maintain_order="left")

    def _columns(self, closed: pl.DataFrame, opened: pl.DataFrame) -> pl.DataFrame:
        plan, decided = self.plan, f"{self.plan.decision}."
        first = closed.select(
            pl.col(ROW),
            self._key(),
            *self._tick(),
            _time(plan).alias("time"),
            pl.col(f"{decided}outcome").alias("outcome"),
            pl.col(plan.points).alias("score"),
            pl.col(f"{decided}{POSSIBLE}").alias("closed"),
            self._names(plan.flags, _true, "flags", sort=True),
            self._names(plan.rules, _true, "hits"),
            *((self._names(plan.rules, self._held, "held"),) if plan.held else ()),
            *((self._names(self._silenced, _true, "silenced"),) if plan.silenced else ()),
            *(self._values() if self.values else ()),
        )
        second = opened.select(
            pl.col(f"{decided}{POSSIBLE}").alias("opened"),
            pl.col(f"{decided}score<").alias("score_low"),
            pl.col(f"{decided}score>").alias("score_high"),
            self._names(plan.rules, _unjudged, "undecided"),
        )
        tick = [] if self.per is None else ["tick", *(PER + name for name in self.per)]
        order = [
            ROW,
            "key",
            *tick,
            "time",
            "outcome",
            "possible",
            "robust",
            "score",
            "score_low",
            "score_high",
            "flags",
            "hits",
            "undecided",
        ]
        both = first.hstack(second).with_columns(possible=pl.concat_list("opened", "closed").list.unique(maintain_order=True))
        both = both.with_columns(robust=pl.col("possible").list.len() == 1).drop("opened", "closed")
        return both.select(order + [column for column in both.columns if column not in order])

    def _key(self) -> pl.Expr:
        parts = [shown(name, self.plan.types[name])[0] for name in self.plan.record.key]
        key = parts[0] if len(parts) == 1 else pl.struct(parts)
        return (key if self.per is None else pl.when(~pl.col(TICK)).then(key)).alias("key")

    def _tick(self) -> Sequence[pl.Expr]:
        """Whether the row is a tick, and of which key."""
        if self.per is None:
            return ()
        return (pl.col(TICK).alias("tick"), *(shown(name, self.plan.types[name])[0].alias(PER + name) for name in self.per))

    def _names(self, columns: Any, test: Any, name: str, *, sort: bool = False) -> pl.Expr:
        """A list of the names whose column passes the test, or bits, 64 to a word."""
        names = list(dict.fromkeys(columns.values()))
        names = sorted(names) if sort else names
        flags = [pl.any_horizontal(test(c) for c, n in columns.items() if n == wanted) for wanted in names]
        if self.detail == "bits":
            return _bits(flags).alias(name)
        if not flags:
            return pl.lit([], dtype=pl.List(pl.String)).alias(name)
        marks = [pl.when(flag).then(pl.lit(text)) for flag, text in zip(flags, names, strict=True)]
        return pl.concat_list(marks).list.drop_nulls().alias(name)

    def _held(self, column: str) -> pl.Expr:
        held = self.plan.held.get(self.plan.rules[column])
        return pl.lit(False) if held is None else _true(held.before) & _true(held.held)

    @property
    def _silenced(self) -> dict[str, str]:
        return {column: f"{one.rule} by {one.exception}" for column, one in self.plan.silenced.items()}

    def _values(self) -> Sequence[pl.Expr]:
        return [column for name, type_ in self.plan.outputs.items() for column in shown(name, type_)]


def _true(column: str) -> pl.Expr:
    return pl.col(column).fill_null(False)


def _unjudged(column: str) -> pl.Expr:
    return pl.col(f"{column}#") == UNDECIDED


def _bits(flags: Sequence[pl.Expr]) -> pl.Expr:
    words = [
        pl.sum_horizontal(
            flag.cast(pl.UInt64) * pl.lit(2**place, dtype=pl.UInt64) for place, flag in enumerate(flags[start : start + WORD])
        )
        for start in range(0, max(len(flags), 1), WORD)
        if flags
    ]
    return pl.concat_arr(words or [pl.lit(0, dtype=pl.UInt64)])


def _time(plan: Plan) -> pl.Expr:
    if plan.types[NOW].kind == "date":
        return pl.col(NOW).cast(pl.Int32).cast(pl.Date)
    return pl.col(NOW).cast(pl.Datetime("us", "UTC"))
