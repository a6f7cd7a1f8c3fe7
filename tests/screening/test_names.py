"""Names: how they are spelt, that the index loses nothing, and what is done with texts that are none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from random import Random

import pytest

from engine.screening.likeness import code, likeness
from engine.screening.names import Entry, Match, Names
from engine.screening.spelling import LONGEST, bare, spell
from engine.values import missing

PERCENT = 1_000_000


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BIN LADIN, Usama", "usama bin ladin"),
        ("O'Neill & Sons (UK) Ltd.", "oneill sons uk"),
        ("S.A. Acme", "acme"),
        ("Ltd", "ltd"),
        ("amazon.co.uk", "amazon co uk"),
        ("Łódź Straße Øre", "lodz strasse ore"),
        ("ＡＣＭＥ", "acme"),
        ("U\u200bs\u202eama", "usama"),
        ("e\u0301cole", "ecole"),
        ("😀 Café 😀", "cafe"),
        ("Юрий Щербаков", "yuriy shcherbakov"),
        ("ООО «Ромашка»", "romashka"),
        ("Αλέξανδρος", "alexandros"),
        ("习近平", "xi jin ping"),
        ("김정은", "gim jeong eun"),
        ("たなか", "tanaka"),
        ("राम", "ram"),
        ("محمد علي", "mhmd ly"),
        ("משה", "msh"),
    ],
)
def test_spelling(name, words):
    spelt = spell(name)
    assert " ".join(spelt.words) == words
    assert spelt.vowels == (name not in ("محمد علي", "משה"))


@pytest.mark.parametrize(("name", "cause"), [("", "damaged"), (" -- ", "damaged"), ("😀", "damaged"), ("x" * (LONGEST + 1), "overflow")])
def test_what_is_no_name(name, cause):
    names = Names([Entry("x"), Entry("-"), Entry("y" * (LONGEST + 1)), Entry("z" * LONGEST)])
    assert names.resembles(name, 85 * PERCENT) is missing(cause)
    assert [entry.name[0] for entry in names.nameless()] == ["-", "y"]


def test_long_texts_take_no_time():
    names = Names([Entry("z" * LONGEST), Entry(" ".join("ab" * 200))])
    start = time.perf_counter()
    assert names.resembles("x" * 1_000_000, 85 * PERCENT) is missing("overflow")
    assert names.best("Z" * (LONGEST - 1), 85 * PERCENT).likeness == 9994
    assert names.best(" ".join("ba" * 200), 85 * PERCENT).likeness == 10_000
    assert time.perf_counter() - start < 2


def drawn(pick):
    """A name of few letters in some script, so that many resemble one another."""
    letters = pick.choice(("abn lo", "abn lo", "abn lo", "абнло ", "بدم نل", "王李明"))
    return "".join(pick.choice(letters) for _ in range(pick.randrange(1, 14)))


def by_every_entry(names, name, least, day):
    asked, matches = spell(name), []
    for entry in names.entries:
        other = spell(entry.name)
        if entry.on(day) and not isinstance(other, type(missing("damaged"))):
            same = asked.vowels == other.vowels
            found = likeness(*(code(one.words if same else bare(one.words)) for one in (asked, other)))
            matches += [Match(found, entry)] if found * 10_000 >= least else []
    return min(matches, key=lambda match: match.rank, default=None)


def test_the_index_finds_what_comparing_with_every_entry_finds():
    pick, met = Random(7), 0
    for _ in range(40):
        days = ((), (), ((0, 10),), ((5, None), (None, 1)))
        names = Names(Entry(drawn(pick), pick.choice(("", "7", "8")), pick.choice(days)) for _ in range(pick.randrange(60)))
        for _ in range(12):
            name, least, day = drawn(pick), pick.randrange(1, 101) * PERCENT - pick.choice((0, 0, 5_000)), pick.choice((None, 0, 5, 20))
            if spell(name).__class__ is missing("damaged").__class__:
                continue
            wanted = by_every_entry(names, name, least, day)
            assert names.best(name, least, day) == wanted
            met += wanted is not None
    assert met > 100


def test_likeness_knows_no_order_of_words_and_no_sides():
    pick = Random(3)
    for _ in range(200):
        a, b = ([drawn(pick).strip().encode("ascii", "ignore").decode().replace(" ", "") or "a" for _ in range(3)] for _ in range(2))
        one, other = code(tuple(a)), code(tuple(b))
        assert likeness(one, other) == likeness(other, one)
        assert likeness(one, one) == 10_000
        assert likeness(code(tuple(reversed(a))), one) == 10_000


def test_of_equals_the_first_by_name_and_id():
    names = Names([Entry("ivan petrov", "2"), Entry("PETROV, Ivan", "9"), Entry("PETROV, Ivan", "3")])
    assert names.best("Ivan PETROV", 85 * PERCENT) == Match(10_000, Entry("PETROV, Ivan", "3"))
    assert names.nearest("Ivo Petrow").entry.id == "3"
    assert names.nearest("zzz") is None


def test_only_a_comparison_loads_the_libraries():
    """Loading rules that compare names needs neither, and comparing loads no frames."""
    code = """
import json, sys
from engine import Engine
engine = Engine.load("examples/purchase_cards/cascades/sanctions.yaml")
before = [name for name in ("rapidfuzz", "anyascii", "polars") if name in sys.modules]
engine.decide({"file": "a", "row": 1, "booked_on": "2015-01-01", "amount": 1, "merchant": "osama bin ladn", "card": "1"})
print(json.dumps([before, [name for name in ("rapidfuzz", "anyascii", "polars") if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], ["rapidfuzz", "anyascii"]]
