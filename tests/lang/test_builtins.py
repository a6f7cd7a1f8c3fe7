"""Every entry of the table does what its examples say, and keeps intervals soundly."""

import itertools

import pytest

from engine import values, zones
from engine.lang.builtins import BUILTINS, pattern
from engine.values import Interval, Missing, Money, interval, known, missing

ENTRIES = list(BUILTINS.values())
UNITS = {"duration": values.DAY, "percent": 1_000_000, "number": 0.5}


@pytest.mark.parametrize("builtin", ENTRIES, ids=lambda b: b.name)
def test_examples_hold(builtin):
    assert builtin.examples and builtin.doc
    for args, result in builtin.examples:
        got = builtin.one(*args)
        assert got == result and type(got) is type(result), args


def _samples(kind):
    if kind == "bymoney":
        return [Money(n, "USD") for n in (-2, 0, 3)]
    if kind == "text":
        return ["USD"]
    return [n * UNITS.get(kind, 1) for n in (-2, 0, 3)]


def _may_be(value, wanted):
    """Whether an interval (or a missing value) allows the exact value `wanted`."""
    if value.__class__ is Missing or wanted.__class__ is Missing:
        return value.__class__ is Missing or wanted.cause in ("overflow",)
    if value.__class__ is Interval:
        return (value.low is None or value.low <= wanted) and (value.high is None or wanted <= value.high)
    return value == wanted


def _inside(kind):
    """Pairs of an interval and the values it stands for."""
    samples = _samples(kind)
    low, mid, high = samples
    yield interval(low, high, "undecided"), samples
    yield interval(mid, None, "undecided"), [mid, high]
    yield interval(None, mid, "undecided"), [low, mid]


@pytest.mark.parametrize("builtin", [b for b in ENTRIES if b.interval], ids=lambda b: b.name)
def test_an_interval_holds_every_value_it_could_be(builtin):
    kinds = builtin.takes
    for place in range(len(kinds)):
        if kinds[place] in ("text",):
            continue
        others = [_samples(kind) for kind in kinds]
        for open_value, inner in _inside(kinds[place]):
            for args in itertools.product(*[[None] if i == place else others[i] for i in range(len(kinds))]):
                got = builtin.interval(*[open_value if i == place else a for i, a in enumerate(args)])
                for value in inner:
                    wanted = builtin.one(*[value if i == place else a for i, a in enumerate(args)])
                    if wanted.__class__ is Missing and wanted.cause == "division by zero" and got.__class__ is Missing:
                        continue
                    assert _may_be(got, wanted), (open_value, args, got, wanted)


def test_intervals_in_both_arguments():
    few, many = Interval(1, 2, "undecided"), Interval(3, None, "short history")
    assert BUILTINS["integer+integer"].interval(few, many) == Interval(4, None, "short history")
    assert BUILTINS["integer-integer"].interval(few, many) == Interval(None, -1, "short history")
    assert BUILTINS["min:integer"].interval(few, many) == Interval(1, 2, "short history")
    assert BUILTINS["max:integer"].interval(few, many) == Interval(3, None, "short history")
    assert BUILTINS["integer*integer"].interval(few, many) is missing("undecided")
    assert BUILTINS["integer*integer"].interval(3, few) == Interval(3, 6, "undecided")


def test_intervals_of_two_currencies_are_missing():
    euros, dollars = Interval(Money(1, "EUR"), None, "short history"), Money(1, "USD")
    assert BUILTINS["bymoney+bymoney"].interval(euros, dollars) is missing("currency")


def test_a_bound_that_overflows_is_no_bound():
    assert BUILTINS["integer+integer"].interval(Interval(0, 2**63 - 1, "undecided"), 1) == Interval(1, None, "undecided")


def test_extremes_are_missing_and_never_raise():
    least = values.INT64_MIN
    assert BUILTINS["negate:integer"].one(least) is missing("overflow")
    assert BUILTINS["abs:integer"].one(least) is missing("overflow")
    assert BUILTINS["date+days"].one(2_932_896, values.DAY) is missing("overflow")
    assert BUILTINS["date+months"].one(2_932_896, 1) is missing("overflow")
    assert BUILTINS["datetime+duration"].one(values.INT64_MAX, values.INT64_MAX) is missing("overflow")
    assert BUILTINS["hour_of"].one(-62_135_596_800_000_000, "America/New_York") is missing("overflow")
    assert BUILTINS["round"].one(1.7e308, -308) is missing("overflow")
    assert BUILTINS["round"].one(1.25, 2**62) == 1.25
    assert str(BUILTINS["negate:number"].one(0.0)) == "0.0"


def test_every_result_is_known_or_missing():
    for builtin in ENTRIES:
        for args, _ in builtin.examples:
            result = builtin.one(*args)
            assert known(result) or result.__class__ is Missing


def test_a_bad_pattern_is_named_in_one_line():
    with pytest.raises(ValueError, match="missing"):
        pattern("a(b")


def test_zones_come_from_the_pinned_database():
    with pytest.raises(KeyError):
        zones.zone("../etc/passwd")
    assert zones.local_day(0, "Asia/Tokyo") == 0


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]$"])
def test_a_pattern_that_explodes_elsewhere_is_searched_in_one_pass(expression):
    """Where patterns are tried out by going back, each letter more doubles the time: 100,000 of them would take for ever."""
    assert BUILTINS["matches"].one("a" * 100_000 + "!", expression) is False


def test_a_pattern_that_would_be_huge_is_refused():
    with pytest.raises(ValueError, match="repetition"):
        pattern("((a{1000}){1000}){1000}")
