"""How names are compared, measured: recall by script and threshold, false hits on real sellers, what the index loses (nothing), speed.

`python -m bench.names` prints tables in Markdown. What is labelled: pairs written for that in `name_pairs.csv`, names of the United
Nations' list in their bearers' own script against the same bearers' Latin names, other names on OFAC's list against their bearers' first.
No seller of the purchase cards is known to be on a list, so that every hit there is taken to be false.
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
import time
import tracemalloc
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from rapidfuzz import fuzz

from engine.screening.likeness import code, likeness
from engine.screening.names import Entry, Match, Names
from engine.screening.spelling import Spelling, bare, spell
from engine.values import PERCENT_UNIT, Missing

HERE = Path(__file__).parent
CARDS = HERE.parent / "examples/purchase_cards"
AT = (75, 80, 85, 90, 95)
Pair = tuple[str, list[str]]
"""A name, and the names of which one should resemble it."""


def rows(name: str) -> list[dict[str, str]]:
    with (CARDS / "rulesets/sanctions" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def script(name: str) -> str:
    """The script most letters of a name are of."""
    found = Counter(unicodedata.name(letter, "").split(" ")[0].capitalize() for letter in name if letter.isalpha())
    return found.most_common(1)[0][0] if found else ""


def written_pairs() -> Iterator[tuple[str, Pair]]:
    lines = (line for line in (HERE / "name_pairs.csv").read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#")
    for name, other, _, _ in csv.reader(lines):
        yield f"{script(name)}, written pairs", (name, [other])


def original_pairs() -> Iterator[tuple[str, Pair]]:
    bearers = defaultdict(list)
    for row in rows("un.csv"):
        bearers[row["entry"]].append(row)
    for names in bearers.values():
        latin = [row["name"] for row in names if script(row["name"]) == "Latin"]
        for row in names:
            if row["kind"] == "original" and script(row["name"]) not in ("Latin", ""):
                yield f"{script(row['name'])}, UN, against any name of the bearer", (row["name"], latin)


def alias_pairs() -> Iterator[tuple[str, Pair]]:
    first = {row["entry"]: row["name"] for row in rows("ofac_2021.csv") if row["kind"] == "name"}
    for row in rows("ofac_2021.csv"):
        if row["kind"] == "aka":
            yield "Latin, OFAC: each other name against the first (many are quite other names)", (row["name"], [first[row["entry"]]])


def ours(name: str, other: str) -> float:
    """Likeness in percent, as the engine has it."""
    a, b = spell(name), spell(other)
    assert not isinstance(a, Missing) and not isinstance(b, Missing)
    return likeness(*map(code, words(a, b))) / 100


def words(a: Spelling, b: Spelling) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (a.words, b.words) if a.vowels == b.vowels else (bare(a.words), bare(b.words))


def token_sort(name: str, other: str) -> float:
    """What is common elsewhere: the same spelling, words sorted, and rapidfuzz's ratio of the whole."""
    a, b = spell(name), spell(other)
    assert not isinstance(a, Missing) and not isinstance(b, Missing)
    return fuzz.ratio(" ".join(sorted(a.words)), " ".join(sorted(b.words)))


def recall() -> None:
    found: dict[str, list[Pair]] = defaultdict(list)
    for label, pair in (*written_pairs(), *original_pairs(), *alias_pairs()):
        found[label].append(pair)
    print("| names | pairs | scorer | " + " | ".join(f"{at}%" for at in AT) + " |\n|---|--:|---|" + "--:|" * len(AT))
    scorers: tuple[tuple[str, Callable[[str, str], float]], ...] = (("ours", ours), ("token sort", token_sort))
    for label, pairs in found.items():
        for scorer, score in scorers:
            best = [max(score(name, other) for other in others) for name, others in pairs]
            shares = [sum(one >= at for one in best) / len(best) for at in AT]
            print(f"| {label} | {len(pairs)} | {scorer} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")


def own_bearer() -> None:
    """Of names in their own script that hit, how many have their own bearer as the best match."""
    latin = Names(Entry(row["name"], row["entry"]) for row in rows("un.csv") if row["kind"] != "original")
    asked = [(row["name"], row["entry"]) for row in rows("un.csv") if row["kind"] == "original" and script(row["name"]) == "Arabic"]
    print(
        "\n| Arabic names of the UN list, searched in its Latin names | "
        + " | ".join(f"{at}%" for at in AT)
        + " |\n|---|"
        + "--:|" * len(AT)
    )
    hits = [[(latin.best(name, at * PERCENT_UNIT // 100), entry) for name, entry in asked] for at in AT]
    print("| hit | " + " | ".join(f"{sum(isinstance(m, Match) for m, _ in one) / len(asked):.0%}" for one in hits) + " |")
    right = [sum(isinstance(m, Match) and m.entry.id == entry for m, entry in one) for one in hits]
    number = [sum(isinstance(m, Match) for m, _ in one) for one in hits]
    print("| of these, own bearer best | " + " | ".join(f"{a / b:.0%}" for a, b in zip(right, number, strict=True)) + " |")


def sellers() -> list[str]:
    found = set()
    for path in sorted(CARDS.glob("*.csv.gz")):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found.add(row.get("MERCHANT NAME") or "")
    return sorted(found - {""})


def false_hits(names: Names, asked: list[str]) -> None:
    print(
        f"\n| {len(asked):,} sellers against {len(names.entries):,} names | "
        + " | ".join(f"{at}%" for at in AT)
        + " |\n|---|"
        + "--:|" * len(AT)
    )
    hits, times = [], []
    for at in AT:
        start = time.perf_counter()
        hits.append(sum(isinstance(names.best(name, at * PERCENT_UNIT // 100), Match) for name in asked))
        times.append((time.perf_counter() - start) / len(asked))
    print("| hits | " + " | ".join(map(str, hits)) + " |")
    print("| hits of 10,000 sellers | " + " | ".join(f"{hit * 10_000 / len(asked):.0f}" for hit in hits) + " |")
    print("| microseconds a name | " + " | ".join(f"{one * 1e6:.0f}" for one in times) + " |")


def exhaustive(names: Names, name: str, at: int) -> Match | None:
    """The best match found by comparing with every entry."""
    asked = spell(name)
    assert not isinstance(asked, Missing)
    matches = []
    for entry in names.entries:
        spelling = spell(entry.name)
        if not isinstance(spelling, Missing):
            found = likeness(*map(code, words(asked, spelling)))
            matches += [Match(found, entry)] if found >= at * 100 else []
    return min(matches, key=lambda match: match.rank, default=None)


def losses(names: Names, asked: list[str], number: int) -> None:
    """Whether the index finds what comparing with every entry finds, for sellers, entries of the list and misspelt entries."""
    pick = random.Random(1)
    sample = pick.sample(asked, number) + [entry.name for entry in pick.sample(names.entries, number)]
    sample += ["".join(letter for letter in name if pick.random() > 0.08) for name in sample[-number:]]
    there = [name for name in sample if not isinstance(spell(name), Missing)]
    lost = sum(exhaustive(names, name, at) != names.best(name, at * PERCENT_UNIT // 100) for name in there for at in (70, 85))
    found = sum(isinstance(names.best(name, PERCENT_UNIT * 70 // 100), Match) for name in there)
    print(f"\nindex against every entry: {len(there)} names at 70% and 85%, {found} of them with a match: {lost} differ")


def cold(entries: list[Entry]) -> Names:
    tracemalloc.start()
    names = Names(entries)
    start = time.perf_counter()
    names.best("Osama bin Laden", 85 * PERCENT_UNIT // 100)
    names.best("صدام حسين", 85 * PERCENT_UNIT // 100)
    traced = time.perf_counter() - start
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    again, start = Names(entries), time.perf_counter()
    again.best("Osama bin Laden", 85 * PERCENT_UNIT // 100)
    print(f"\nindex of {len(names.entries):,} names: {time.perf_counter() - start:.2f} s, {size / 1e6:.0f} MB (traced: {traced:.2f} s)")
    return again


def main(number: int = 15) -> None:
    entries = [Entry(row["name"], row["entry"]) for row in (*rows("ofac_2021.csv"), *rows("un.csv"))]
    recall()
    own_bearer()
    names, asked = cold(entries), sellers()
    false_hits(names, asked)
    losses(names, asked, number)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
