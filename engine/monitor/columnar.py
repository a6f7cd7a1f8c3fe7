"""Counts over one chunk of a run: the typed frame that went in and the decisions that came out. It keeps nothing and draws nothing.

Frames are in the physical layout of `engine.backends.columnar`: beside a column ``x`` stands ``x#``, 0 where the value is known, else
1 + the rank of its cause in `engine.values.CAUSES`. Where ``x#`` is left out, null is `absent`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.values import CAUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polars import DataFrame, Expr, Series

    from engine.record import Record

PRESENT = "present"
UNDATED = "undated"


def outcomes(decisions: DataFrame, record: Record) -> Counter[tuple[str, str]]:
    """How many decisions per month of the event (``2014-05``, in the record's zone) and outcome."""
    import polars as pl

    frame = decisions.select(month=_month(pl.col("time"), decisions.schema["time"], record), outcome=pl.col("outcome").fill_null("none"))
    return Counter({(month, outcome): n for month, outcome, n in frame.group_by("month", "outcome").len().iter_rows()})


def undecided(decisions: DataFrame, record: Record) -> Counter[tuple[str, str]]:
    """How many rows per month of the event each rule was undecided on."""
    import polars as pl

    frame = decisions.select(month=_month(pl.col("time"), decisions.schema["time"], record), rule=pl.col("undecided"))
    frame = frame.explode("rule", empty_as_null=False, keep_nulls=False)
    return Counter({(month, rule): n for month, rule, n in frame.group_by("month", "rule").len().iter_rows()})


def names(decisions: DataFrame, column: str) -> Counter[str]:
    """How often each name stands in a column of lists, such as `hits` or `undecided`."""
    counted = decisions[column].explode(empty_as_null=False, keep_nulls=False).value_counts()
    return Counter(dict(counted.iter_rows()))


def possibles(decisions: DataFrame) -> Counter[tuple[str, ...]]:
    """How often each set of possible outcomes came up among the decisions that are not robust."""
    import polars as pl

    open_ = decisions.filter(~pl.col("robust")).select(pl.col("possible").list.unique(maintain_order=True))
    return Counter({tuple(possible): n for possible, n in open_.group_by("possible").len().iter_rows()})


def fields(typed: DataFrame, decisions: DataFrame, record: Record) -> Counter[tuple[str, str, str]]:
    """How many rows per group, field and state: `present`, or the cause why not. The group is what `groups` says."""
    import polars as pl

    group = groups(typed, decisions, record).alias("group")
    counts: Counter[tuple[str, str, str]] = Counter()
    for field in record.fields:
        if field.name in typed.columns:
            state = pl.DataFrame([group, _causes(typed, field.name).alias("cause")])
            for name, code, n in state.group_by("group", "cause").len().iter_rows():
                counts[name, field.name, _state(code)] += n
    return counts


def groups(typed: DataFrame, decisions: DataFrame, record: Record) -> Series:
    """The group of every row: its `file` where the record's key holds one, for a feed changes file by file; else its month."""
    import polars as pl

    if by_file(record) and "file" in typed.columns:
        return typed["file"].fill_null("unnamed")
    return decisions.select(_month(pl.col("time"), decisions.schema["time"], record)).to_series()


def by_file(record: Record) -> bool:
    """Whether fields are grouped by published file rather than by month."""
    return "file" in record.key


def lacks(typed: DataFrame, decisions: DataFrame, reads: Mapping[str, Sequence[str]]) -> Counter[tuple[str, str, str]]:
    """For every undecided rule, the columns it reads that were not known, by cause: how many of the rule's undecided rows."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for rule in names(decisions, "undecided"):
        rows = typed.filter(decisions["undecided"].list.contains(rule))
        for column in (column for column in reads.get(rule, ()) if column in typed.columns):
            for code, n in _causes(rows, column).value_counts().iter_rows():
                if code:
                    counts[rule, column, CAUSES[code - 1]] += n
    return counts


def _causes(frame: DataFrame, column: str) -> Series:
    import polars as pl

    return frame[f"{column}#"] if f"{column}#" in frame.columns else frame[column].is_null().cast(pl.UInt8)


def _state(code: int) -> str:
    return CAUSES[code - 1] if code else PRESENT


def _month(time: Expr, dtype: object, record: Record) -> Expr:
    """The month of an event's time; physical times are days or microseconds, frames for people hold dates or datetimes."""
    import polars as pl

    if dtype == pl.Int64:
        is_date = record.field(record.time).type.kind == "date"
        time = time.cast(pl.Int32).cast(pl.Date) if is_date else time.cast(pl.Datetime("us", "UTC"))
        dtype = pl.Date if is_date else pl.Datetime("us", "UTC")
    if isinstance(dtype, pl.Datetime):
        time = (time if dtype.time_zone else time.dt.replace_time_zone("UTC")).dt.convert_time_zone(record.zone)
    return time.dt.strftime("%Y-%m").fill_null(UNDATED)
