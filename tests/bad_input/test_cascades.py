"""Cascades and `deployment.yaml` as they come, through the commands that read them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_input.conftest import CASCADE, Command

DEPLOYMENT = "deployment.yaml"
STEP = "{rules: shop/checks@^1}"
Tell = Callable[..., str]


@pytest.fixture
def tell(engine: Command, shop: Path) -> Tell:
    """What `check`, `decide`, `graph` and `run` say of a YAML file with this content: all the same."""

    def call(content: str | bytes, name: str = CASCADE) -> str:
        (shop / name).write_bytes(content.encode() if isinstance(content, str) else content)
        began = time.monotonic()
        checked = engine("check", CASCADE)
        assert time.monotonic() - began < 20
        decided, drawn = engine("decide", CASCADE, "event.json"), engine("graph", CASCADE)
        ran = engine("run", CASCADE, "--input", "events.csv", "--output", "d.csv", "--rejects", "r.csv")
        assert [one.code for one in (checked, decided, drawn, ran)] == [1] * 4 and not (shop / "d.csv").exists()
        assert decided.err == drawn.err == ran.err and checked.out.startswith(decided.err)
        return decided.err

    return call


LAUGHS = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True))

CHANGES: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "empty": (lambda text: "", "screening.yaml:1:1: error[empty-file]: this file is empty"),
    "blank": (lambda text: "\n \n", "error[empty-file]: the file is empty"),
    "zeros": (lambda text: "\0" * 5_000, "error[empty-file]: the file is empty"),
    "UTF-16": (lambda text: text.encode("utf-16"), "error[not-utf8]: this file is written in UTF-16"),
    "cp1251": (lambda text: ("title: Проверка\n" + text).encode("cp1251"), "screening.yaml:1:8: error[not-utf8]"),
    "control character": (lambda text: text.replace("1.0.0", "1.0.0 \a"), "screening.yaml:3:16: error[control-character]"),
    "bidi control": (lambda text: text.replace("# ", "# \u202e"), "screening.yaml:1:3: error[bidi-control]"),
    "a key twice": (lambda text: text + "decision: habits\n", "screening.yaml:9:1: error[duplicate-key]: the key `decision` stands twice"),
    "a key twice in a step": (
        lambda text: text.replace(STEP, "{rules: shop/checks@^1, rules: a/b}"),
        "error[duplicate-key]: the key `rules` stands twice",
    ),
    "an unknown key": (lambda text: text.replace("decision:", "desicion:"), "did you mean `decision`?"),
    "a key that is no word": (lambda text: "? [a, b]\n: 1\n" + text, "screening.yaml:1:3: error[yaml]: a key is one word"),
    "anchors that explode": (lambda text: LAUGHS + text, "screening.yaml:1:4: error[yaml-anchor]"),
    "tags that run code": (lambda text: text + "x: !!python/object/apply:os.system ['true']\n", "error[yaml-tag]"),
    "nested 10,000 deep": (lambda text: "x: " + "[" * 10_000 + "]" * 10_000 + "\n" + text, "error[yaml-too-deep]"),
    "keys 10,000 deep": (lambda text: "{a: " * 10_000, "error[yaml-too-deep]"),
    "items 10,000 deep": (lambda text: "- " * 10_000, "error[yaml-too-deep]"),
    "a number of 10,000 digits": (
        lambda text: text.replace("1.0.0", "9" * 10_000),
        "screening.yaml:3:10: error[yaml]: this number cannot be read",
    ),
    "two documents": (lambda text: text + "---\n" + text, "error[yaml-documents]"),
    "a list": (lambda text: "- a\n", "error[cascade-value]: the file must be a mapping"),
    "1 MB and more": (lambda text: text + "#" * 1_000_000, "error[cascade-too-large]"),
    "20 MB": (lambda text: text + "#" * 20_000_000, "error[file-too-large]"),
    "5,000 parentheses": (
        lambda text: text.replace(STEP, f"{{rules: shop/checks@^1, when: {'(' * 5_000}amount > 1 GBP{')' * 5_000}}}"),
        "error[too-deep]",
    ),
    "a look-alike name": (
        lambda text: text.replace(STEP, "{rules: shop/checks@^1, when: amоunt > 1 GBP}"),
        "error[mixed-script]: in the name `amоunt`",
    ),
    "a component that is not there": (lambda text: text.replace("checks@", "chekcs@"), "there is no component `shop/chekcs`"),
    "a component with a very long name": (
        lambda text: text.replace("checks@", "c" * 400 + "@"),
        "error[unknown-component]: there is no component `shop/ccc",
    ),
    "a version that does not fit": (lambda text: text.replace("checks@^1", "checks@^2"), "`shop/checks` is 1.0.0 here, `^2` is asked for"),
    "a model that is not there": (lambda text: text.replace(STEP, "{model: shop/risk@1.0.0}"), "there is no model `shop/risk`"),
    "a path that leaves its folder": (
        lambda text: text.replace("shop/checks", "../../checks"),
        "`steps.checks.rules` cannot be `../../checks@^1`",
    ),
    "a path of its own": (lambda text: text.replace("shop/checks", "/etc/passwd"), "`steps.checks.rules` cannot be `/etc/passwd@^1`"),
    "itself": (lambda text: text.replace(STEP, "{cascade: shop/screening@^1}"), "error[cascade-circle]"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_spoilt_cascade_is_told_with_its_place(tell: Tell, shop: Path, change: str) -> None:
    spoil, said = CHANGES[change]
    assert said in tell(spoil((shop / CASCADE).read_text()))


def test_of_very_many_problems_the_first_are_told(engine: Command, shop: Path) -> None:
    with (shop / CASCADE).open("a") as file:
        file.writelines(f"k{number}: 1\n" for number in range(1_000))
    assert engine("check", CASCADE).out.count("error[unknown-key]") == 200


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "deployment.yaml:1:1: error[empty-file]"),
        ("\0" * 100, "deployment.yaml:1:1: error[empty-file]"),
        ("allow: []\n".encode("utf-16"), "deployment.yaml:1:1: error[not-utf8]: this file is written in UTF-16"),
        ("# все\nallow: []\n".encode("cp1251"), "deployment.yaml:1:3: error[not-utf8]"),
        ("# \u202e\nallow: []\n", "deployment.yaml:1:3: error[bidi-control]"),
        ("alow: []\n", "deployment.yaml:1:1: error[deployment]"),
        ("allow: a.B\n", "error[deployment]: a deployment file holds one list, `allow`"),
        ("allow: []\nallow: [a.B]\n", "deployment.yaml:2:1: error[duplicate-key]"),
        ("allow: &a [*a]\n", "deployment.yaml:1:8: error[yaml-anchor]"),
        ("allow: !!python/name:os.system x\n", "error[yaml-tag]"),
        ("allow: " + "[" * 10_000, "error[yaml-too-deep]"),
        ("allow: [" + "9" * 10_000 + "]\n", "error[yaml]: this number cannot be read"),
        (b"#" * 20_000_000, "deployment.yaml:1:1: error[file-too-large]"),
    ],
    ids=range(13),
)
def test_a_spoilt_deployment_file_is_told_and_allows_nothing(tell: Tell, content: str | bytes, said: str) -> None:
    told = tell(content, DEPLOYMENT)
    # the line it stands in is shown
    assert said in told and "\n    " in told


@pytest.mark.parametrize("change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")], ids=["BOM", "CRLF"])
def test_forms_of_text_make_no_difference(engine: Command, shop: Path, change: Callable[[str], str]) -> None:
    text = (shop / CASCADE).read_text()
    (shop / CASCADE).write_bytes(change(text).encode())
    assert engine("decide", CASCADE, "event.json").code == 0
