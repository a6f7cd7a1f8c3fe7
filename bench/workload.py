"""Workload W: rules against money laundering over twenty columns, one event or a million rows with some fields missing, from a seed.

A rule is a small tree of conditions; `bench.dialects` writes the same rules in every contender's language. It times nothing.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

SEED: Final = 20_260_301
MISSING: Final = 0.05
START: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

_LETTERS: Final = "ABCDEFGHIJKL"
COUNTRIES: Final = tuple(f"{a}{b}" for a in _LETTERS for b in _LETTERS[:10])
HIGH_RISK: Final = COUNTRIES[80:]
"""The forty countries that rules ask for."""
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "channel": ("card", "online", "branch", "atm", "wire", "cash", "cheque", "crypto"),
    "direction": ("in", "out"),
    "country": COUNTRIES,
    "counterparty_country": COUNTRIES,
    "currency": tuple(f"{a}{b}X" for a in "EUC" for b in "ABCDEFG")[:20],
    "segment": ("retail", "private", "corporate", "charity", "cash_in_transit", "bank", "broker", "public"),
    "product": tuple(f"product_{n:02}" for n in range(12)),
    "category": tuple(f"{n}" for n in range(4_000, 8_000, 20)),
    "account": tuple(f"{COUNTRIES[n % 97]}{n % 89:02}{n * 7_919 % 10_000:04}{n:06}" for n in range(5_000)),
}
NUMBERS: Final = ("amount", "balance", "turnover_30d", "income", "risk")
INTEGERS: Final = ("payments_7d", "account_age", "hour", "failed_logins")
FLAGS: Final = ("politically_exposed", "new_device")
COLUMNS: Final = (*NUMBERS, *INTEGERS, *TEXTS, *FLAGS)

LOGNORMAL: Final = {"amount": (6.0, 1.5), "balance": (8.0, 1.2), "turnover_30d": (8.5, 1.3), "income": (8.0, 0.6)}
COMMON: Final = {"country": 0.93, "counterparty_country": 0.9, "channel": 0.85, "segment": 0.8, "currency": 0.9, "product": 0.75}
"""How often such a column holds one of its first few values."""


# --- conditions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compare:
    """`column op value`; of texts only ``=`` and ``!=``."""

    column: str
    op: str
    value: float | int | str | bool


@dataclass(frozen=True)
class Between:
    """Both ends included."""

    column: str
    low: float
    high: float


@dataclass(frozen=True)
class Listed:
    """Membership in `HIGH_RISK`."""

    column: str


@dataclass(frozen=True)
class Prefix:
    column: str
    text: str


@dataclass(frozen=True)
class Ratio:
    """``top / bottom > value``."""

    top: str
    bottom: str
    value: float


@dataclass(frozen=True)
class Unknown:
    """Whether the column is missing."""

    column: str


@dataclass(frozen=True)
class Not:
    item: Condition


@dataclass(frozen=True)
class All:
    items: tuple[Condition, ...]


@dataclass(frozen=True)
class Any_:
    items: tuple[Condition, ...]


Condition = Compare | Between | Listed | Prefix | Ratio | Unknown | Not | All | Any_


@dataclass(frozen=True)
class Rule:
    """Hit where the condition is true; one that cannot be judged is clear."""

    id: str
    when: Condition
    points: int

    @property
    def flag(self) -> str:
        return self.id.lower().replace("-", "_")


@dataclass(frozen=True)
class Workload:
    """Rules, and the scores from which on the outcome is `block` or `review`."""

    rules: tuple[Rule, ...]

    @property
    def block(self) -> int:
        return max(1, round(1.3 * len(self.rules) / 10) * 10)

    @property
    def review(self) -> int:
        return max(1, round(0.6 * len(self.rules) / 10) * 10)


def workload(rules: int = 100, seed: int = SEED) -> Workload:
    """So many rules of the mix."""
    random = Random(seed)
    kinds = [_KINDS[number % len(_KINDS)] for number in range(rules)]
    random.shuffle(kinds)
    return Workload(tuple(Rule(f"AML-{n:05}", kind(random), 5 * random.randint(1, 8)) for n, kind in enumerate(kinds, 1)))


def _round(value: float) -> float:
    """Two digits that say something: people write round numbers."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{round(value / step) * step:.6g}")


def _over(random: Random, column: str, least: float = 0.4, most: float = 2.2) -> Compare:
    """Above so many standard deviations."""
    mean, width = LOGNORMAL[column]
    return Compare(column, random.choice((">", ">=")), _round(math.exp(mean + width * random.uniform(least, most))))


def _under(random: Random, column: str) -> Compare:
    mean, width = LOGNORMAL[column]
    return Compare(column, random.choice(("<", "<=")), _round(math.exp(mean + width * random.uniform(-1.8, -0.2))))


def _is(random: Random, column: str) -> Compare:
    return Compare(column, "=", random.choice(TEXTS[column]))


def _channel_and_amount(random: Random) -> Condition:
    return All((_is(random, "channel"), _over(random, "amount", 0.0)))


def _risky_country(random: Random) -> Condition:
    return All((Listed(random.choice(("country", "counterparty_country"))), _over(random, "amount", -1.0, 1.5)))


def _not_this_segment(random: Random) -> Condition:
    return All((Listed("counterparty_country"), Not(_is(random, "segment")), Compare("direction", "=", "out"), _over(random, "amount")))


def _band(random: Random) -> Condition:
    low = _round(math.exp(6.0 + 1.5 * random.uniform(0.0, 1.5)))
    return All((Between("amount", low, _round(low * random.uniform(1.1, 2.0))), _is(random, "product")))


def _share_of_balance(random: Random) -> Condition:
    top, bottom = random.choice((("amount", "balance"), ("turnover_30d", "income"), ("amount", "income")))
    return All((_is(random, "direction"), _over(random, "amount", 0.0), Ratio(top, bottom, _round(random.uniform(1.5, 30.0)))))


def _category(random: Random) -> Condition:
    return All((Prefix("category", str(random.randint(40, 79))), _over(random, "turnover_30d", -0.5)))


def _exposed(random: Random) -> Condition:
    risk = Compare("risk", ">=", random.choice((0.9, 0.95, 0.97, 0.99)))
    return All((Any_((Compare("politically_exposed", "=", True), risk)), _over(random, "amount", 0.5)))


def _young_and_busy(random: Random) -> Condition:
    return All((Compare("payments_7d", ">=", random.randint(6, 25)), Compare("account_age", "<", random.choice((30, 60, 90, 180, 365)))))


def _nothing_known(random: Random) -> Condition:
    return All((Unknown(random.choice(("income", "segment", "category", "risk"))), _over(random, "amount", 0.0)))


def _at_night(random: Random) -> Condition:
    first = random.randint(0, 3)
    night = Between("hour", first, first + random.randint(1, 3))
    return All(
        (Any_((night, Compare("failed_logins", ">=", random.randint(3, 8)))), Compare("new_device", "=", True), _is(random, "channel"))
    )


def _low_balance(random: Random) -> Condition:
    return All((_under(random, "balance"), _over(random, "turnover_30d"), Not(_is(random, "segment"))))


def _account(random: Random) -> Condition:
    return All((Prefix("account", random.choice(COUNTRIES)), Not(Listed("country")), Compare("payments_7d", ">", random.randint(3, 12))))


def _foreign_currency(random: Random) -> Condition:
    return Any_(
        (All((_is(random, "currency"), _over(random, "amount", 0.2))), All((Listed("country"), _over(random, "turnover_30d", 1.5))))
    )


_KINDS: Final[tuple[Callable[[Random], Condition], ...]] = (
    _channel_and_amount, _risky_country, _not_this_segment, _band, _share_of_balance, _category, _exposed, _young_and_busy,
    _nothing_known, _at_night, _low_balance, _account, _foreign_currency,
)  # fmt: skip


# --- events ----------------------------------------------------------------------------------------------------------


def events(count: int, *, missing: float = MISSING, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Events as dicts of typed values; a field that is missing is None."""
    random = Random(seed + 1)
    for number in range(count):
        event: dict[str, Any] = {"id": f"E{number:07}", "at": START + dt.timedelta(seconds=number)}
        event |= {name: _number(random, name) for name in NUMBERS}
        event["payments_7d"] = min(40, int(random.expovariate(0.2)))
        event["account_age"] = random.randint(0, 5_000)
        event["hour"] = random.randint(0, 23)
        event["failed_logins"] = min(9, int(random.expovariate(0.9)))
        event |= {name: _text(random, name, values) for name, values in TEXTS.items()}
        event["politically_exposed"] = random.random() < 0.02
        event["new_device"] = random.random() < 0.1
        for name in COLUMNS:
            if random.random() < missing:
                event[name] = None
        yield event


def _number(random: Random, name: str) -> float:
    return round(random.random(), 4) if name == "risk" else round(random.lognormvariate(*LOGNORMAL[name]), 2)


def _text(random: Random, name: str, values: tuple[str, ...]) -> str:
    few = max(2, len(values) // 12)
    return values[int(random.random() * few)] if random.random() < COMMON.get(name, 0.0) else random.choice(values)


# --- our language ----------------------------------------------------------------------------------------------------


def rules_text(work: Workload) -> str:
    """The rule set in our language."""
    lines = ["ruleset bench/aml version 1.0.0", '  "Workload W"', "  record bench/event ^1", "  on missing ignore", ""]
    lines += ["list high_risk = (" + ", ".join(f'"{one}"' for one in HIGH_RISK) + ")", ""]
    for rule in work.rules:
        lines += [f'rule {rule.id} "Pattern {rule.id}"', f"  when {_said(rule.when)}", f"  then score {rule.points}, flag {rule.flag}", ""]
    lines += ["decide outcome first match", f"  block when score >= {work.block}", f"  review when score >= {work.review}"]
    return "\n".join([*lines, "  approve otherwise", ""])


def record_text() -> str:
    """The record of an event."""
    kinds = dict.fromkeys(NUMBERS, "number") | dict.fromkeys(INTEGERS, "integer") | dict.fromkeys(FLAGS, "flag")
    lines = ["record bench/event version 1.0.0", '  zone "UTC"', "  key id", "  time at", "  field id: text", "  field at: datetime"]
    return "\n".join([*lines, *(f"  field {name}: {kinds.get(name, 'text')} optional" for name in COLUMNS), ""])


def write(folder: Path, work: Workload) -> Path:
    """A workspace of these rules; gives its cascade."""
    cascade = "cascade: bench/w\nversion: 1.0.0\nrecord: bench/event@^1\nsteps:\n  aml: {rules: bench/aml@^1}\ndecision: aml\n"
    files = {
        "rulesets/bench/event.rules": record_text(),
        "rulesets/bench/aml.rules": rules_text(work),
        "cascades/w.yaml": cascade,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "cascades/w.yaml"


def _said(node: Condition) -> str:
    match node:
        case Compare(value=bool()):
            return node.column if node.value else f"not {node.column}"
        case Compare():
            return f'{node.column} {node.op} "{node.value}"' if isinstance(node.value, str) else f"{node.column} {node.op} {node.value}"
        case Between():
            return f"{node.column} between {node.low} and {node.high}"
        case Listed():
            return f"{node.column} in high_risk"
        case Prefix():
            return f'{node.column} starts with "{node.text}"'
        case Ratio():
            return f"{node.top} / {node.bottom} > {node.value}"
        case Unknown():
            return f"{node.column} is missing"
        case Not():
            return f"not ({_said(node.item)})"
        case All():
            return " and ".join(f"({_said(item)})" if isinstance(item, Any_) else _said(item) for item in node.items)
        case Any_():
            return " or ".join(f"({_said(item)})" if isinstance(item, All) else _said(item) for item in node.items)
