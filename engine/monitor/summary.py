"""What a run did, added up chunk by chunk, and told in a terminal's worth of text. It must not know any particular record or cascade."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from engine.lang import ir
from engine.monitor import columnar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from polars import DataFrame

    from engine.cascade.link import Linked
    from engine.record import Record

BUSIEST = 10


_KEY: Final = re.compile(r" with `.+ was there before", re.DOTALL)


@dataclass
class Summary:
    """Counts of one run. `rows` is what was read, `add` counts what was decided, `reject` what was not: `balanced` compares them.

    `rules` gives each rule's title by its id, `reads` the columns of the typed frame it needs (see `needs`), `order` the outcomes from
    the gravest to the mildest, `made` says under which lock, or with which drafts, `licence` the words the data ask to be carried. `locks`
    names each of several locks by its seal, `under` counts what each of them decided, `seconds` is how long the run took. `ticks` counts
    apart what was decided without an event; such decisions are no rows in.

    >>> from engine.record import Record
    >>> summary = Summary(Record("a/b", "1.0.0", "UTC", ("id",), "at", ()), "a/screening 1.0.0", rows=1)
    >>> summary.reject(["no time"])
    >>> summary.balanced
    True
    """

    record: Record
    title: str
    rules: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, Sequence[str]] = field(default_factory=dict)
    order: Sequence[str] = ()
    made: Sequence[str] = ()
    locks: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    rows: int = 0
    seconds: float | None = None
    decided: int = 0
    robust: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    under: Counter[str] = field(default_factory=Counter)
    months: Counter[tuple[str, str]] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    open: Counter[tuple[str, str]] = field(default_factory=Counter)
    silenced: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    possible: Counter[tuple[str, ...]] = field(default_factory=Counter)
    fields: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lacks: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    ticks: Summary | None = None

    @classmethod
    def of(cls, *linked: Linked, licence: str = "", made: Sequence[str] = (), locks: Mapping[str, str] | None = None) -> Summary:
        """An empty summary of a linked cascade: its record, the titles of its rules, what each of them reads, its outcomes in order. Of
        several that follow one another the last is the newest, and what only others know is counted too."""
        rules, reads = dict[str, str](), dict[str, tuple[str, ...]]()
        for one in linked:
            _titles(one, rules, reads)
        plan = linked[-1].plan
        order = tuple(dict.fromkeys(outcome for one in reversed(linked) for outcome in _outcomes(one)))
        title = f"{plan.name} {plan.version}"
        return cls(plan.record, title, rules=rules, reads=reads, order=order, made=made, locks=locks or {}, licence=licence)

    def add(self, typed: DataFrame, decisions: DataFrame) -> None:
        """Count one chunk: the rows as they were decided (fields, and what else `reads` names) and their decisions, in the same order."""
        if typed.height != decisions.height:
            raise ValueError(f"{typed.height} rows cannot have {decisions.height} decisions")
        if "tick" in decisions.columns:
            ticks = decisions["tick"]
            if self.ticks is None:
                self.ticks = Summary(self.record, self.title, self.rules, self.reads, self.order)
            self.ticks.add(typed.filter(ticks), decisions.filter(ticks).drop("tick"))
            typed, decisions = typed.filter(~ticks), decisions.filter(~ticks)
        self.decided += decisions.height
        self.robust += int(decisions["robust"].sum())
        if "lock" in decisions.columns:
            self.under.update(dict(decisions["lock"].value_counts().iter_rows()))
        self.months.update(columnar.outcomes(decisions, self.record))
        self.hits.update(columnar.names(decisions, "hits"))
        if "silenced" in decisions.columns:
            self.silenced.update(columnar.names(decisions, "silenced"))
        self.open.update(columnar.undecided(decisions, self.record))
        self.flags.update(columnar.names(decisions, "flags"))
        self.possible.update(columnar.possibles(decisions))
        self.fields.update(columnar.fields(typed, decisions, self.record))
        self.lacks.update(columnar.lacks(typed, decisions, self.reads))

    def reject(self, reasons: Iterable[str]) -> None:
        """Count rows that could not be decided at all, one reason a row; the key it names, and a value at its end, are left out."""
        self.rejects.update(_KEY.sub(" was there before", reason).partition(": ")[0] for reason in reasons)

    @property
    def rejected(self) -> int:
        return self.rejects.total()

    @property
    def balanced(self) -> bool:
        """Whether every row read was decided or rejected."""
        return self.rows == self.decided + self.rejected

    def outcomes(self) -> list[tuple[str, int]]:
        """The outcomes and how often, in `order`; those it does not name follow, the most frequent first."""
        totals: Counter[str] = Counter()
        for (_, outcome), n in self.months.items():
            totals[outcome] += n
        named = [outcome for outcome in self.order if outcome in totals]
        return [(outcome, totals[outcome]) for outcome in named + [o for o, _ in totals.most_common() if o not in named]]

    def by_lock(self) -> list[tuple[str, int]]:
        """The locks that follow one another and how much each of them decided."""
        return [(name, self.under[seal]) for seal, name in self.locks.items()]

    @property
    def undecided(self) -> Counter[str]:
        """How many rows each rule was undecided on, before policies."""
        counts: Counter[str] = Counter()
        for (_, rule), n in self.open.items():
            counts[rule] += n
        return counts

    def why(self, rule: str) -> list[tuple[str, str, int]]:
        """What an undecided rule lacked: column, cause, rows; the most frequent first."""
        found = [(column, cause, n) for (id_, column, cause), n in self.lacks.items() if id_ == rule]
        return sorted(found, key=lambda lack: (-lack[2], lack[0], lack[1]))

    def text(self) -> str:
        """The summary for a terminal."""
        parts = [self._rows(), self._under(), self._rejects(), self._outcomes(), self._busiest(), self._silenced(), self._undecided()]
        if self.ticks is not None:
            why = "" if self.ticks.decided else ": none lies between the first event that bears a key and the last day asked for"
            parts += [f"{self.ticks.decided:>11,}  ticks decided, without an event{why}", self.ticks._outcomes("outcomes of ticks")]
            parts.append(self.ticks._busiest("busiest rules at ticks"))
        return "\n\n".join(part for part in parts if part)

    def _rows(self) -> str:
        proof = "rows in = decided + rejected" if self.balanced else "rows in and rows out differ: rows were lost"
        lines = [
            self.title,
            *self.made,
            "",
            f"{self.rows:>11,}  rows in",
            f"{self.decided:>11,}  decided",
            f"{self.rejected:>11,}  rejected",
            f"{'':>11}  {proof}",
        ]
        if self.seconds:
            lines.append(f"{self.rows / self.seconds:>11,.0f}  rows a second, {self.seconds:,.1f} s in all")
        return "\n".join(lines)

    def _under(self) -> str:
        return _table("decided by the lock in force", [(n, name) for name, n in self.by_lock()])

    def _rejects(self) -> str:
        return _table("rejected, and why", [(n, reason) for reason, n in self.rejects.most_common()])

    def _outcomes(self, title: str = "outcomes") -> str:
        rows = [(n, f"{outcome:<12} {n / self.decided:7.2%}") for outcome, n in self.outcomes()]
        rows.append((self.robust, f"{'robust':<12} {self.robust / (self.decided or 1):7.2%}  no missing value could change them"))
        return _table(title, rows)

    def _busiest(self, title: str = "busiest rules") -> str:
        return _table(title, [(n, f"{rule:<16} {self.rules.get(rule, '')}".rstrip()) for rule, n in self.hits.most_common(BUSIEST)])

    def _silenced(self) -> str:
        return _table("hits that exceptions silenced", [(n, pair) for pair, n in self.silenced.most_common()])

    def _undecided(self) -> str:
        rows = [(n, f"{rule:<16} {self._lacked(rule)}".rstrip()) for rule, n in self.undecided.most_common()]
        return _table("rules that were undecided, before policies, and what they lacked", rows)

    def _lacked(self, rule: str) -> str:
        return ", ".join(f"{column} {cause} ({n:,})" for column, cause, n in self.why(rule))


def _titles(linked: Linked, rules: dict[str, str], reads: dict[str, tuple[str, ...]]) -> None:
    """Note the titles of a cascade's rules, and what each of them reads."""
    for view in linked.views:
        for rule in view.rules.rules:
            rules[linked.plan.rules[view.prefix + ir.hit(rule.id)]] = rule.title
        if not view.path:  # what a nested cascade's rules read has no column in the outer frame
            for id_, local in needs(view.rules).items():
                sources = view.rule_step.sources
                reads[linked.plan.rules[view.prefix + ir.hit(id_)]] = tuple(sources[name] for name in local if name in sources)


def _outcomes(linked: Linked) -> list[str]:
    """From the gravest to the mildest."""
    decide = next(view.rules.decide for view in linked.views if view.step == linked.plan.decision)
    return [outcome for outcome, _ in decide.rows] if decide else []


def needs(ruleset: ir.RuleSet) -> dict[str, tuple[str, ...]]:
    """What each rule of a rule set needs from outside it (fields, inputs, features), through its defines, by rule id."""
    defines = ruleset.defines
    made = {column.name for column in ruleset.outputs()}

    def reach(expr: ir.Expr) -> set[str]:
        found: set[str] = set()
        for name in ir.reads(expr) - made:
            found |= reach(defines[name]) if name in defines else {name}
        return found

    return {rule.id: tuple(sorted(reach(ir.condition(rule)))) for rule in ruleset.rules}


def _table(title: str, rows: Sequence[tuple[int, str]]) -> str:
    return "\n".join([title, *(f"{n:>11,}  {text}" for n, text in rows)]) if rows else ""
