"""Many events through plans that follow one another: history is one, and each row is decided by the plan in force on its day.

Rows come back in their order, in one frame: what a plan does not have is empty in the rows it decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.backends.columnar_layout import names
from engine.errors import InputError
from engine.plan import DAY_OF_EVENT
from engine.run.batch import BatchRun, Decided, Readings
from engine.run.border import ROW
from engine.run.decided import bits
from engine.run.succession import flag_names, rule_ids, silenced_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.plan import Plan
    from engine.run.succession import Succession, Term

LOCK: Final = "lock"
"""A column of decisions: the seal of the lock that decided the row."""
_PART: Final = "@part"


class InForceRun(BatchRun):
    """A `BatchRun` over a succession of plans; decisions have the column `lock` too.

    Raises `InputError` where `values` are asked for and one of them is of one type here and of another there.
    """

    def __init__(
        self,
        following: Succession,
        *,
        detail: str,
        values: bool = False,
        history_from: str | None = None,
        per: Sequence[str] | None = None,
        whole: bool = True,
    ) -> None:
        super().__init__(following.plan, detail="names", history_from=history_from, per=per)
        if values:
            _check_values(following)
        readings = [Readings(term.plan, self.holder, detail="names", values=values, per=per, whole=whole) for term in following.terms]
        self._terms = [_Decider(term, following, one) for term, one in zip(following.terms, readings, strict=True)]
        self._following = following
        self._days = pl.Series([term.since for term in following.terms])
        self._held = any(plan.held for plan in following.plans)
        self._bits = _names(following) if detail == "bits" else {}
        self._none: pl.DataFrame | None = None

    def admitted(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
        """The rows on whose day some plan is in force, and the others."""
        before = frame[DAY_OF_EVENT] < self._following.first
        days = frame.filter(before).select(ROW, DAY_OF_EVENT).rows()
        return frame.filter(~before), [(row, self._following.refusal(day)) for row, day in days]

    def conclude(self, frame: pl.DataFrame) -> Decided:
        """Decide rows that have their history, each in its term."""
        if self._none is None:
            self._none = _joined([one.conclude(frame.clear()).decisions for one in self._terms])
        parts = [(self._terms[at], self._terms[at].conclude(rows)) for at, rows in self._parts(frame)]
        found = pl.concat([self._none, *(done.decisions for _, done in parts)], how="diagonal")
        found = found.with_columns(pl.col(name).fill_null([]) for name in ("held", "silenced") if name in found.columns)
        found = found.with_columns(bits(found, name, named) for name, named in self._bits.items() if name in found.columns)
        decisions = frame.select(ROW).join(found, on=ROW, how="left", maintain_order="left")
        return Decided(frame, frame.clear(), decisions, parts=tuple((one.term.plan, done) for one, done in parts))

    def _parts(self, frame: pl.DataFrame) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows by term. Where rules say `once` rows hear of those that arrived before: then only neighbours stay together."""
        terms = self._days.search_sorted(frame[DAY_OF_EVENT], side="right").cast(pl.Int64) - 1
        parts = frame.with_columns((terms.rle_id() if self._held else terms).alias(_PART))
        for part in parts.partition_by(_PART, maintain_order=True, include_key=False):
            if self._held:
                self.holder.over(part)
            yield int(self._days.search_sorted(part[DAY_OF_EVENT][0], side="right")) - 1, part


class _Decider:
    """What decides the rows of one term."""

    def __init__(self, term: Term, following: Succession, readings: Readings) -> None:
        types = following.types
        self.term, self._readings = term, readings
        self._drops = [physical for name in term.foreign - set(term.renamed.values()) for physical in names(name, types[name])]
        self._names = {
            there: here
            for own, shared in term.renamed.items()
            for there, here in zip(names(shared, types[shared]), names(own, types[shared]), strict=True)
        }

    def conclude(self, frame: pl.DataFrame) -> Decided:
        """Decide rows of shared columns."""
        done = self._readings.conclude(frame.drop(self._drops).rename(self._names))
        return done._replace(decisions=done.decisions.with_columns(pl.lit(self.term.seal).alias(LOCK)))


def _names(following: Succession) -> dict[str, tuple[str, ...]]:
    """Which names the bits of a column stand for."""
    rules, plans = rule_ids(following.plans), following.plans
    return {"flags": flag_names(plans), "hits": rules, "undecided": rules, "held": rules, "silenced": silenced_names(plans)}


def _joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """A frame without rows that has the columns of all; the lock stands behind what every decision has."""
    found = pl.concat(frames, how="diagonal").clear()
    last = [name for name in (LOCK,) if name in found.columns]
    more = [name for name in found.columns if "." in name and not name.startswith("per.")]
    return found.select(*(name for name in found.columns if name not in (*last, *more)), *last, *more)


def _check_values(following: Succession) -> None:
    seen: dict[str, Term] = {}
    for term in following.terms:
        for name, type_ in term.plan.outputs.items():
            other = seen.setdefault(name, term)
            if other.plan.outputs[name] != type_:
                raise InputError(
                    f"`{name}` is {other.plan.outputs[name]} in `{other.name}` and {type_} in `{term.name}`, which no column can be: "
                    "decide without the values of steps, or by one lock at a time"
                )


def run_of(
    plan: Plan,
    following: Succession | None,
    *,
    detail: str,
    values: bool = False,
    history_from: str | None = None,
    per: Sequence[str] | None = None,
    whole: bool = True,
) -> BatchRun:
    """A run over one plan, or over those that follow one another, of which `plan` then is the shared one."""
    if following is None:
        return BatchRun(plan, detail=detail, values=values, history_from=history_from, per=per, whole=whole)
    return InForceRun(following, detail=detail, values=values, history_from=history_from, per=per, whole=whole)
