"""Rule files as they come, through every command that reads them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import Engine, SourceError
from engine.lang.parse import parse
from tests.bad_input.conftest import CASCADE, Command
from tests.cli.conftest import Result

RULES = Path("rulesets/shop/checks.rules")
CONDITION = "when amount >= large"
COMMANDS = {
    "check": ["check"],
    "test": ["test", str(RULES)],
    "fmt": ["fmt", str(RULES)],
    "decide": ["decide", CASCADE, "event.json"],
    "run": ["run", CASCADE, "--input", "events.csv", "--output", "d.csv", "--rejects", "r.csv"],
}
Tell = Callable[..., Result]


@pytest.fixture
def tell(engine: Command, shop: Path) -> Tell:
    """What a command says of the rule file with this content; the file stays as it is."""

    def call(content: str | bytes, command: str = "check") -> Result:
        data = content.encode() if isinstance(content, str) else content
        (shop / RULES).write_bytes(data)
        began = time.monotonic()
        result = engine(*COMMANDS[command])
        assert time.monotonic() - began < 20
        assert (shop / RULES).read_bytes() == data and not (shop / "d.csv").exists()
        return result

    return call


@pytest.fixture
def text(shop: Path) -> str:
    return RULES.read_text(encoding="utf-8")


def spoilt(text: str) -> dict[str, tuple[bytes, str]]:
    rule = '\nrule X-{} "x"\n  when amount >= {} GBP\n  then score 1\n'
    return {
        "empty": (b"", "checks.rules:1:1: error[empty-file]"),
        "zeros": (b"\0" * 10_000, "checks.rules:1:1: error[control-character]: this line holds zero bytes"),
        "UTF-16": (text.encode("utf-16"), "error[not-utf8]: this file is written in UTF-16"),
        "UTF-16 without a mark": (text.encode("utf-16-be"), "error[not-utf8]: this file is written in UTF-16"),
        "cp1251": (text.replace("Large", "Большой").encode("cp1251"), "checks.rules:12:16: error[not-utf8]: byte 338 of this file"),
        "bidi control": (
            text.replace("Large p", "Large \u202ep").encode(),
            "checks.rules:12:22: error[bidi-control]: the invisible character U+202E",
        ),
        "look-alike name": (
            text.replace(CONDITION, CONDITION.replace("o", "о")).encode(),
            "checks.rules:15:8: error[mixed-script]: in the name `amоunt`",
        ),
        "100,000 rules": (
            (text + "".join(rule.format(n, n) for n in range(100_000))).encode(),
            "error[too-many-declarations]: this file has 100_015",
        ),
        "5,000 parentheses": (
            text.replace(CONDITION, f"when {'(' * 5_000}amount >= large{')' * 5_000}").encode(),
            "checks.rules:15:68: error[too-deep]",
        ),
        "5,000 times not": (text.replace(CONDITION, "when " + "not " * 5_000 + "amount >= large").encode(), "error[too-deep]"),
        "5,000 sums": (text.replace(CONDITION, "when " + "amount + " * 5_000 + "amount >= large").encode(), "error[too-deep]"),
        "20 MB": (text.encode() + b"#" * 20_000_000, "checks.rules:1:1: error[file-too-large]: this file is larger than 16 MB"),
    }


KINDS = [*spoilt("")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["check", "fmt", "decide"])
def test_a_spoilt_file_is_told_with_its_place(tell: Tell, text: str, kind: str, command: str) -> None:
    content, said = spoilt(text)[kind]
    result = tell(content, command)
    told = result.err if command == "decide" else result.out
    assert result.code == 1 and said in told
    # what to do about it; `fmt` shows the bare line where it has no text to draw from
    assert "\n  = " in told or command == "fmt"


@pytest.mark.parametrize("command", ["test", "run"])
def test_other_commands_tell_it_too(tell: Tell, text: str, command: str) -> None:
    result = tell(spoilt(text)["bidi control"][0], command)
    assert result.code == 1 and "error[bidi-control]" in result.out + result.err


def test_the_library_tells_every_problem(shop: Path, text: str) -> None:
    RULES.write_text(text.replace("Large p", "Large \u202ep"), encoding="utf-8")
    with pytest.raises(SourceError) as told:
        Engine.load(CASCADE)
    assert [one.code for one in told.value.diagnostics] == ["bidi-control"]


@pytest.mark.parametrize(
    "change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), lambda t: t.replace("\n", "\r")], ids=["BOM", "CRLF", "CR"]
)
def test_forms_of_text_make_no_difference(tell: Tell, text: str, change: Callable[[str], str]) -> None:
    assert tell(change(text)).code == 0


def test_a_condition_of_5_000_parts_is_no_nesting(engine: Command, shop: Path, text: str) -> None:
    RULES.write_text(text.replace(CONDITION, "when " + " and ".join(["amount >= large"] * 5_000)), encoding="utf-8")
    decided = engine("decide", CASCADE, "event.json")
    assert decided.code == 0 and "LARGE-01: 640.00 GBP is at or above 500.00 GBP" in decided.out


def test_a_list_of_five_million_entries_written_out_is_not_read_to_its_end() -> None:
    tree, problems = parse("list a/b version 1.0.0 values (" + "1, " * 5_000_000 + "1)", "big.rules")
    assert tree is None and [one.code for one in problems] == ["file-too-large"]
    assert problems[0].hint == "keep long lists in a CSV file beside the rules"


def test_a_text_with_look_alike_letters_is_warned_of_and_taken(tell: Tell, text: str) -> None:
    result = tell(text.replace('"IE"', '"ІE"'))
    assert result.code == 0 and "warning[mixed-script]" in result.out
