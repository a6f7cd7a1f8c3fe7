"""The decision columns of many events, read off the frames of both readings. It knows columns, not what steps do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import polars as pl

from engine.backends import columnar
from engine.backends.columnar import ALLOWED
from engine.backends.columnar_choice import chosen, kept
from engine.backends.columnar_layout import names
from engine.backends.columnar_steps import UNDECIDED
from engine.backends.columnar_wired import wireable
from engine.backends.rules import POSSIBLE, RuleStep
from engine.plan import NOW, TICK, Plan
from engine.run.border import ROW
from engine.run.shown import shown

WORD = 64
_NAMED = ("flags", "hits", "undecided")
PER = "per."
"""What stands before the key fields of ticks, as columns of decisions."""


def bits(frame: pl.DataFrame, column: str, names: Sequence[str]) -> pl.Series:
    """A column of lists of names as bits, in the order of all names, 64 to a word."""
    return _bits(frame, [pl.col(column).list.contains(name) for name in names]).alias(column)


class Columns:
    """The columns of a plan's decisions. With the key fields of ticks in `per` they say in `tick` what is one, and give these fields as
    ``per.FIELD``."""

    def __init__(self, plan: Plan, *, detail: str, values: bool, per: Sequence[str] | None) -> None:
        self.plan, self.detail, self.values, self.per = plan, detail, values, per

    @cached_property
    def reads(self) -> frozenset[str]:
        """The physical columns of steps that it may read."""
        plan, decided = self.plan, f"{self.plan.decision}."
        found = {*plan.rules, *plan.flags, *plan.silenced, *plan.policies, plan.points}
        found |= {decided + part for part in ("outcome", ALLOWED, POSSIBLE, "score<", "score>")}
        found |= {part for held in plan.held.values() for name in (held.held, held.by) for part in (name, f"{name}#")}
        found |= {held.before for held in plan.held.values()}
        if self.values:
            found |= {part for name, type_ in plan.outputs.items() for part in names(name, type_)}
        return frozenset(found)

    def of(self, closed: pl.DataFrame, opened: pl.DataFrame, places: pl.Series) -> pl.DataFrame:
        """The decision columns of both readings, in the order of the rows; `opened` are the rows at these places."""
        first, second = self._first(closed), self._second(opened if len(places) == closed.height else closed)
        if 0 < len(places) < closed.height:
            behind = pl.int_range(closed.height, closed.height + len(places), dtype=pl.UInt32, eager=True)
            where = pl.int_range(closed.height, dtype=pl.UInt32, eager=True).scatter(places, behind)
            second = pl.concat([second, self._second(opened)])[where]
        both = first.hstack(second).with_columns(self._possible(first, second).alias("possible"))
        both = both.with_columns(robust=pl.col("possible").list.len() == 1).drop("opened", "closed")
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
        return both.select(order + [column for column in both.columns if column not in order])

    def _first(self, closed: pl.DataFrame) -> pl.DataFrame:
        plan, decided = self.plan, f"{self.plan.decision}."
        made = closed.select(
            pl.col(ROW),
            self._key(),
            *self._tick(),
            _time(plan).alias("time"),
            pl.col(f"{decided}outcome").alias("outcome"),
            pl.col(plan.points).alias("score"),
            self._still(closed).alias("closed"),
        )
        listed = [self._names(closed, plan.flags, _true, "flags", sort=True), self._names(closed, plan.rules, _true, "hits")]
        listed += [self._names(closed, plan.rules, self._held, "held")] if plan.held else []
        listed += [self._names(closed, self._silenced, _true, "silenced")] if plan.silenced else []
        made = made.hstack(listed)
        return made.hstack(closed.select(self._values())) if self.values else made

    def _second(self, opened: pl.DataFrame) -> pl.DataFrame:
        decided = f"{self.plan.decision}."
        made = opened.select(
            self._still(opened).alias("opened"),
            pl.col(f"{decided}score<").alias("score_low"),
            pl.col(f"{decided}score>").alias("score_high"),
        )
        coded = set(opened.columns)

        def unjudged(column: str) -> pl.Expr:
            # a step that leaves causes out has undecided rules alone
            return pl.col(f"{column}#") == UNDECIDED if f"{column}#" in coded else pl.col(column).is_null()

        return made.hstack([self._names(opened, self.plan.rules, unjudged, "undecided")])

    def _still(self, frame: pl.DataFrame) -> pl.Expr:
        """What says which outcomes are possible: bits, where there are any, else a list."""
        column = f"{self.plan.decision}.{ALLOWED}"
        return pl.col(column if column in frame.columns else f"{self.plan.decision}.{POSSIBLE}")

    def _possible(self, first: pl.DataFrame, second: pl.DataFrame) -> pl.Expr:
        """Those that the second reading allows, and then those that only the first does."""
        if first["closed"].dtype == pl.List:
            return pl.concat_list("opened", "closed").list.unique(maintain_order=True)
        rows = self.outcomes
        width = len(rows)

        def either(bits: int) -> tuple[str, ...]:
            return tuple(dict.fromkeys(kept(rows, bits & ((1 << width) - 1)) + kept(rows, bits >> width)))

        return chosen(pl.col("opened") + pl.col("closed") * (1 << width), either, pl.List(pl.String))

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """The outcome of each row of `decide`, where a rule set decides by itself."""
        step = next(step for step in self.plan.closed if step.name == self.plan.decision)
        return step.outcomes if isinstance(step, RuleStep) else ()

    def _key(self) -> pl.Expr:
        parts = [shown(name, self.plan.types[name])[0] for name in self.plan.record.key]
        key = parts[0] if len(parts) == 1 else pl.struct(parts)
        return (key if self.per is None else pl.when(~pl.col(TICK)).then(key)).alias("key")

    def _tick(self) -> Sequence[pl.Expr]:
        """Whether the row is a tick, and of which key."""
        if self.per is None:
            return ()
        return (pl.col(TICK).alias("tick"), *(shown(name, self.plan.types[name])[0].alias(PER + name) for name in self.per))

    def _names(self, frame: pl.DataFrame, columns: Any, test: Any, name: str, *, sort: bool = False) -> pl.Series:
        """A list of the names whose column passes the test, or bits, 64 to a word."""
        of: dict[str, list[str]] = {}
        for column, shown_as in columns.items():
            of.setdefault(shown_as, []).append(column)
        called = sorted(of) if sort else list(of)
        flags = [pl.any_horizontal([test(column) for column in of[one]]) if len(of[one]) > 1 else test(of[one][0]) for one in called]
        if self.detail == "bits":
            return _bits(frame, flags).alias(name)
        if not flags:
            return pl.repeat([], frame.height, dtype=pl.List(pl.String), eager=True).alias(name)
        marks = [pl.when(flag).then(pl.lit(text)) for flag, text in zip(flags, called, strict=True)]
        return frame.select(pl.concat_list(marks).list.drop_nulls().alias(name)).to_series()

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


def _bits(frame: pl.DataFrame, flags: Sequence[pl.Expr]) -> pl.Series:
    if flags and wireable() and frame.height >= columnar.WIRED_FROM:
        from engine.backends.columnar_bits import across  # loads numba

        return across(frame.select(flag.alias(str(at)) for at, flag in enumerate(flags)))
    words = [
        pl.sum_horizontal(
            flag.cast(pl.UInt64) * pl.lit(2**place, dtype=pl.UInt64) for place, flag in enumerate(flags[start : start + WORD])
        )
        for start in range(0, len(flags), WORD)
    ]
    nothing = pl.repeat(0, frame.height, dtype=pl.UInt64)
    return frame.select(pl.concat_arr(words or [nothing])).to_series()


def _time(plan: Plan) -> pl.Expr:
    if plan.types[NOW].kind == "date":
        return pl.col(NOW).cast(pl.Int32).cast(pl.Date)
    return pl.col(NOW).cast(pl.Datetime("us", "UTC"))
