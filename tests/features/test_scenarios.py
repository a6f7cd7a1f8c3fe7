"""The page of fifty scenarios is true: every feature text on it checks, without a remark, and what is called sayable has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.lang.check import Environment, check_features, check_record
from engine.lang.parse import parse

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
RECORD, HEAD = re.findall(r"^```rules\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ROWS = [
    (int(number), kind, said) for number, kind, said in re.findall(r"^\| (\d+) \| [^|]+ \| (yes|part|no) \| (.*) \|$", PAGE, re.MULTILINE)
]
TEXT = re.compile(r"`([a-z_0-9]+ = [^`]+)`")


def texts(said: str) -> list[str]:
    return [text.replace("\\|", "|") for text in TEXT.findall(said)]


def remarks(file: str) -> list[str]:
    tree, problems = parse(RECORD, "booking.rules")
    assert tree is not None and problems == []
    record, problems = check_record(tree)
    assert record is not None and problems == []
    tree, problems = parse(file, "features.rules")
    if tree is not None:
        _, problems = check_features(tree, Environment(record=record))
    return [f"{one.span.line}: {one.code}: {one.message}" for one in problems]


def test_all_fifty_are_there_once_and_in_order() -> None:
    assert [number for number, _, _ in ROWS] == list(range(1, 51))


def test_what_is_sayable_is_said_and_what_is_not_says_what_it_waits_for() -> None:
    for number, kind, said in ROWS:
        assert kind == "no" or texts(said) or number == 36, number
        assert kind == "yes" or ";" in said or "*" in said or number in (18, 50), number


def test_every_text_on_the_page_checks_without_a_remark() -> None:
    """Together, since one may read another, and no list is there for nothing."""
    every = [text for _, _, said in ROWS for text in texts(said)]
    assert len(every) > 60
    assert remarks(HEAD + "".join(f"\nfeature {text}\n" for text in every)) == []


@pytest.mark.parametrize("wrong", ["senders = count of distinct sender over 30 days per payee", "n = count over 30 days"])
def test_a_text_that_says_nothing_would_be_found(wrong: str) -> None:
    assert remarks(HEAD + f"\nfeature {wrong}\n") != []
