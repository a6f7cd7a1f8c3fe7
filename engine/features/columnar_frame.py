"""A frame of new rows as histories take it: its times, which rows are moments and no events, and since when history is complete."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from engine import zones
from engine.backends.columnar_layout import names
from engine.features.columnar_seen import ticks
from engine.plan import DAY_OF_EVENT, NOW
from engine.values import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.record import Record


@dataclass(frozen=True)
class Arrived:
    """The rows in order of arrival; `frame` also holds `now`. History is complete `since` a moment; the first `unfounded` rows are ticks
    that came before any event, and know of none but themselves."""

    frame: pl.DataFrame
    record: Record
    since: int | None
    unfounded: int = 0

    @cached_property
    def times(self) -> pl.Series:
        return self.frame[NOW]

    @cached_property
    def moments(self) -> list[int]:
        found: list[int] = self.times.to_list()
        return found

    @cached_property
    def sinces(self) -> list[int]:
        """For every row since when history is complete, as far as was known then."""
        rest = self.frame.height - self.unfounded
        return self.moments[: self.unfounded] + ([] if self.since is None else [self.since] * rest)

    @cached_property
    def ticks(self) -> pl.Series:
        return ticks(self.frame)

    def causes(self, fields: Sequence[str]) -> pl.Series:
        """For every row the code of why one of these fields is missing, the first in rank, or nought."""
        codes = [self._cause(name) for name in fields]
        known = [pl.when(code > 0).then(code) for code in codes]
        return self.frame.select(pl.min_horizontal(known).fill_null(0).cast(pl.UInt8).alias("@cause")).to_series()

    def _cause(self, name: str) -> pl.Expr:
        return pl.col(f"{name}#") if f"{name}#" in self.frame.columns else pl.col(name).is_null().cast(pl.UInt8)

    def key_columns(self, name: str) -> list[pl.Series]:
        """The physical columns that make two values of a field differ."""
        return [self.frame[part] for part in names(name, self.record.field(name).type) if part != f"{name}#"]


def local_days(record: Record, times: pl.Series) -> pl.Series:
    """The local day of every time."""
    return times if record.field(record.time).type.kind == "date" else days_of(record, times)


def days_of(record: Record, times: pl.Series) -> pl.Series:
    """The local day of every moment: by the offset of its UTC day, one by one on days on which it changes."""
    frame = times.to_frame("time").with_columns((pl.col("time") // DAY).alias("whole"))
    whole = frame["whole"].unique()
    offsets = pl.Series("offset", [None if day is None else zones.steady(day, record.zone) for day in whole], dtype=pl.Int64)
    told = frame.join(pl.DataFrame([whole, offsets]), on="whole", how="left", maintain_order="left")
    days = told.select((pl.col("time") + pl.col("offset")) // DAY).to_series().alias("day")
    odd = told.select(pl.col("offset").is_null() & pl.col("time").is_not_null()).to_series().arg_true()
    return days.scatter(odd, [zones.local_day(time, record.zone) for time in times.gather(odd)]) if len(odd) else days


def arrived(frame: pl.DataFrame, record: Record, since: int | None, dated: bool = False) -> Arrived:
    """A frame that goes on from others; `since` is none while no event has come. Where it is `dated`, its rows have their local day."""
    judged = frame.with_columns(pl.col(record.time).alias(NOW), pl.lit(0, pl.UInt8).alias(f"{NOW}#"))
    if dated:
        days = judged[DAY_OF_EVENT] if DAY_OF_EVENT in judged.columns else local_days(record, judged[NOW])
        judged = judged.with_columns(days.alias(DAY_OF_EVENT), pl.lit(0, pl.UInt8).alias(f"{DAY_OF_EVENT}#"))
    if since is not None:
        return Arrived(judged, record, since)
    events = (~ticks(frame)).arg_true()
    if not events.len():
        return Arrived(judged, record, None, frame.height)
    return Arrived(judged, record, judged[NOW][events[0]], events[0])
