"""Who depends on a component, what a new version would mean, and a lock as a drawing: all of it as the files have it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine import Engine
from engine.cli.main import main
from engine.registry.oci import Layout
from engine.registry.published import Registry
from engine.registry.store import Workspace
from engine.uses import uses
from tests.registry.test_published import CASCADE, RULE, SALE, cash, locked, pack, published, shop, write

__all__ = ["shop"]

OUTER = """cascade: shop/outer
version: 1.0.0
record: shop/sale@^1
steps:
  inner: {cascade: shop/screening@^1}
  cash: {rules: shop/cash@^1}
decision: cash
"""


@pytest.fixture
def two(shop: Path) -> Path:
    """A cascade within another, each with its lock; then a second version of the rules."""
    write(shop, "cascades/outer.yaml", OUTER)
    published(shop)
    locked(shop)
    assert main(["lock", "cascades/outer.yaml"]) == 0
    cash(shop, version="1.1.0", more=RULE)
    published(shop)
    assert main(["lock", "cascades/outer.yaml", "--output", "next.lock"]) == 0
    return shop


def told(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(args)) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return said.out + said.err


def found(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> dict:
    return json.loads(told(capsys, *args, "--json", code=code))


# --- uses --------------------------------------------------------------------------------------------------------------


def test_everyone_is_listed_with_the_way_to_him(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = found(capsys, "uses", "shop/cash@1.0.0")["users"]
    rows = {(one["where"], one["name"], one["version"], one["lock"], one["asks"], tuple(one["through"])) for one in users}
    assert rows == {
        ("lock", "shop/screening", "1.0.0", "cascades/screening.lock", "^1", ()),
        ("lock", "shop/outer", "1.0.0", "cascades/outer.lock", "^1", ()),
        *((where, f"shop/{name}", "1.0.0", None, "^1", ()) for where in ("tree", "registry") for name in ("screening", "outer")),
    }
    users = found(capsys, "uses", "cascade:shop/screening")["users"]
    assert {(one["where"], one["name"], one["lock"]) for one in users} == {
        ("lock", "shop/screening", "cascades/screening.lock"),
        ("lock", "shop/outer", "cascades/outer.lock"),
        ("lock", "shop/outer", "next.lock"),
        ("tree", "shop/outer", None),
        ("registry", "shop/outer", None),
    }


def test_what_is_used_through_others_says_through_whom(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, "cascades/outer.yaml", OUTER.replace("  cash: {rules: shop/cash@^1}\n", "").replace("decision: cash", "decision: inner"))
    one = next(one for one in found(capsys, "uses", "shop/cash")["users"] if one["where"] == "tree" and one["name"] == "shop/outer")
    assert (one["asks"], one["through"]) == ("^1", ["shop/screening@1.0.0"])
    said = told(capsys, "uses", "shop/cash")
    assert "  cascade  shop/outer      1.0.0  asks for shop/screening@^1\n" in said
    assert "  next.lock                shop/outer@1.0.0      holds 1.1.0" in said
    assert "ruleset shop/cash; published: 1.0.0, 1.1.0; working tree: 1.1.0" in said and said.endswith(
        "3 locks, 2 in the working tree, 2 published\n"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop/csah", "there is no component `shop/csah` in the working tree, in the registry or in a lock; did you mean `shop/cash`?"),
        ("list:shop/cash", "there is no `list:shop/cash`"),
        ("shop/cash@3.0.0", "`shop/cash` has no version `3.0.0`; there are 1.0.0, 1.1.0"),
        ("shop/cash@^1", "`shop/cash` has no version `^1`"),
        ("cash", "names no component"),
    ],
)
def test_a_name_that_is_none_is_told_with_the_one_that_was_meant(
    two: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert said in told(capsys, "uses", name, code=2)


def test_a_version_that_cannot_be_read_is_told(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, "rulesets/shop/cash.rules", "ruleset shop/cash versoin 1.2.0")
    unread = "; `rulesets/shop/cash.rules` cannot be read; `engine check` says why"
    for command in ("uses", "impact"):
        assert f"`shop/cash` has no version `1.2.0`; there are 1.0.0, 1.1.0{unread}" in told(capsys, command, "shop/cash@1.2.0", code=2)


def test_a_registry_that_is_named_must_be_there(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("uses", "impact"):
        assert "there is no registry in `nowhere`" in told(capsys, command, "shop/cash@1.1.0", "--registry", "nowhere", code=2)


def test_names_of_several_kinds_are_asked_about(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, "cascades/other.yaml", OUTER.replace("shop/outer", "shop/cash"))
    assert "say `cascade:shop/cash` or `ruleset:shop/cash`" in told(capsys, "uses", "shop/cash", code=2)
    assert "nothing depends on shop/cash" in told(capsys, "uses", "cascade:shop/cash")


def test_what_cannot_be_read_is_passed_over_and_named(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, "rulesets/shop/broken.rules", "ruleset shop/broken version\n")
    write(two, "cascades/broken.yaml", "cascade: [")
    write(two, "cascades/old.lock", (two / "next.lock").read_text().replace("1.1.0", "1.0.0"))
    write(two, "uv.lock", "version = 1")
    write(two, "elsewhere/cascades/next.lock", (two / "next.lock").read_text())
    passed = found(capsys, "uses", "shop/cash")["passed_over"]
    assert [one.partition("`")[2].partition("`")[0].removeprefix(f"{two}/") for one in passed] == [
        "rulesets/shop/broken.rules",
        "cascades/broken.yaml",
        "cascades/old.lock",
    ]
    config = Registry(two / "registry").get("shop/cash", "1.1.0").manifest
    (two / "registry/blobs/sha256" / config.digest.removeprefix("sha256:")).write_bytes(b"{}")
    assert "note: passed over: `shop/cash@1.1.0`: the blob" in told(capsys, "uses", "shop/cash")


def test_index_and_versions_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry, read = Registry(tmp_path / "registry"), Counter[str]()
    names = [("a/c0",), *((f"a/c{number}", f"a/c{number // 2}@^1") for number in range(1, 12))]
    registry.publish([pack(name, f"1.{minor}.0", *needs) for name, *needs in names for minor in range(4)])
    whole, blob = Layout.manifests, Layout.blob
    monkeypatch.setattr(Layout, "manifests", lambda self: (read.update(["index"]), whole(self))[1])
    monkeypatch.setattr(Layout, "blob", lambda self, one, what: (read.update([one.digest]), blob(self, one, what))[1])
    assert len(uses(Workspace(tmp_path), registry, "a/c0").users) == 44
    assert read.pop("index") == 1 and set(read.values()) == {1} and len(read) == 2 * 48


# --- impact ------------------------------------------------------------------------------------------------------------


def test_a_version_that_is_asked_for_could_be_taken(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = found(capsys, "impact", "shop/cash@1.1.0")
    assert seen["published"] and seen["changes"]["1.0.0"]["level"] == "minor" and seen["have"] == ["next.lock"]
    assert [(one["lock"], one["held"], one["could"]) for one in seen["locks"]] == [
        ("cascades/outer.lock", "1.0.0", True),
        ("cascades/screening.lock", "1.0.0", True),
    ]
    assert "2 locks could move, 0 could not, 1 already there" in told(capsys, "impact", "shop/cash@1.1.0")


def test_who_forbids_a_version_is_named_and_nothing_else_is_moved(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cash(two, version="2.0.0", limit=600)
    said = told(capsys, "impact", "shop/cash@2.0.0", code=1)
    assert "ruleset shop/cash@2.0.0, in the working tree, not published\n" in said
    assert "after 1.0.0: a major change\n  major  the rule `CASH-01` means something else\n" in said
    assert (
        "cascades/screening.lock (shop/screening@1.0.0) could not move from 1.0.0\n  shop/screening@1.0.0 asks for shop/cash@^1\n" in said
    )
    assert not Registry(two / "registry").versions("shop/cash")[-1].component.version.startswith("2")
    published(two, "shop/cash")
    write(two, "cascades/screening.yaml", CASCADE.replace("1.0.0", "2.0.0").replace("cash@^1", "cash@^2"))
    published(two, "shop/screening")
    moves = {one["lock"]: one for one in found(capsys, "impact", "shop/cash@2.0.0", code=1)["locks"]}
    assert moves["cascades/screening.lock"]["instead"] == "shop/screening@2.0.0"
    assert moves["cascades/outer.lock"]["instead"] is None
    assert moves["cascades/outer.lock"]["forbidden"] == ["shop/outer@1.0.0 asks for shop/cash@^1"]


def test_a_cascade_has_new_versions_too(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, "cascades/screening.yaml", CASCADE.replace("1.0.0", "1.1.0") + "title: Sales\n")
    for _ in ("in the working tree", "published"):
        seen = found(capsys, "impact", "shop/screening@1.1.0")
        assert [(one["lock"], one["could"], one["also"]) for one in seen["locks"]] == [
            ("next.lock", True, []),
            ("cascades/outer.lock", True, []),
            ("cascades/screening.lock", True, []),
        ]
        published(two, "shop/screening")


def test_what_would_move_too_is_as_little_as_can_be(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sale = (two / "rulesets/shop/sale.rules").read_text()
    write(two, "rulesets/shop/sale.rules", sale.replace("1.0.0", "1.1.0") + "  field shop: text optional\n")
    cash(two, version="1.2.0", more=RULE + RULE.replace("02", "03"))
    path = two / "rulesets/shop/cash.rules"
    path.write_text(path.read_text().replace("record shop/sale ^1", "record shop/sale ^1.1"))
    published(two)
    moves = {one["lock"]: one["also"] for one in found(capsys, "impact", "shop/cash@1.2.0")["locks"]}
    assert set(map(str, moves.values())) == {"[['shop/sale@1.0.0', 'shop/sale@1.1.0']]"}
    moves = {one["lock"]: one["also"] for one in found(capsys, "impact", "shop/cash@1.1.0")["locks"]}
    assert moves == {"cascades/outer.lock": [], "cascades/screening.lock": []}  # although a newer record is there
    assert "with it shop/sale@1.0.0 -> shop/sale@1.1.0" in told(capsys, "impact", "shop/cash@1.2.0")


def test_what_is_asked_for_and_does_not_fit_is_no_move(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cash(two, version="1.2.0", more=RULE)
    path = two / "rulesets/shop/cash.rules"
    path.write_text(
        path.read_text().replace("param limit", "input shop: text\n\nparam limit").replace("given channel", 'given shop = "a", channel')
    )
    for _ in ("in the working tree", "published"):
        said = told(capsys, "impact", "shop/cash@1.2.0", code=1)
        assert "cascades/screening.lock (shop/screening@1.0.0) could not move from 1.0.0\n" in said
        assert "  it would not check: cascades/screening.yaml:5: `shop/cash` needs `shop`\n" in said
        published(two, "shop/cash", why="for the test")


def test_yanked_drafts_and_what_promises_too_little(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "yank", "shop/cash@1.1.0", "--because", "wrong by ten")
    said = told(capsys, "impact", "shop/cash@1.1.0", code=1)
    assert "published, yanked: wrong by ten\n" in said and "  shop/cash@1.1.0 is yanked: wrong by ten\n" in said
    cash(two, version="1.1.1", limit=700)
    assert "after 1.0.0: a major change, which 1.1.1 does not promise" in told(capsys, "impact", "shop/cash@1.1.1")
    told(capsys, "lock", "cascades/screening.yaml", "--draft")
    cash(two, version="1.2.0")
    said = told(capsys, "impact", "shop/cash@1.2.0", code=1)
    assert "after 1.1.1: not known" in said and "it holds drafts: publish them, and lock anew" in said
    assert "name the version to look at" in told(capsys, "impact", "shop/cash", code=2)
    assert "did you mean `shop/cash`" in told(capsys, "impact", "shop/chas@1.0.0", code=2)
    assert "has no version `9.0.0`" in told(capsys, "impact", "shop/cash@9.0.0", code=2)


# --- graph, stale ------------------------------------------------------------------------------------------------------


def test_a_lock_is_drawn_as_it_is_whatever_lies_in_the_tree(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (two / "rulesets/shop/cash.rules").write_text("no rules any more")
    said = told(capsys, "graph", "--lock", "cascades/screening.lock")
    assert said == told(capsys, "graph", "cascades/screening.lock")
    steps, _, versions = said.partition("\n\ncascades/screening.lock\n")
    assert steps == "shop/screening@1.0.0 on shop/sale@1.0.0\n\n 1  cash  rules shop/cash@1.0.0 (decides)"
    assert "shop/cash@1.0.0       ruleset sha256:" in versions and "asks for shop/sale@1.0.0: ^1" in versions
    drawn = told(capsys, "graph", "next.lock", "--format", "mermaid")
    assert drawn.count("subgraph") == 2 and "<b>shop/cash@1.1.0</b>" in drawn and drawn.count(" -->|") == 6
    tree = ElementTree.fromstring(told(capsys, "graph", "next.lock", "--format", "svg"))
    texts = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"shop/outer@1.0.0", "next.lock", "shop/cash@1.1.0"} <= set(texts)
    said = found(capsys, "graph", "next.lock")
    assert said["steps"]["decision"] == "cash" and [len(layer) for layer in said["versions"]["layers"]] == [1, 1, 1, 1]


def test_a_draft_is_drawn_as_one(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    locked(shop, "--draft")
    assert "shop/cash@1.0.0       ruleset draft\n" in told(capsys, "graph", "cascades/screening.lock")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["graph"], "name what to draw"),
        (["graph", "cascades/screening.yaml", "--lock", "next.lock"], "name what to draw"),
        (["graph", "--lock", "cascades/screening.yaml"], "is no lock: it ends with `.lock`"),
        (["graph", "--lock", "nxt.lock"], "there is no file `nxt.lock`; did you mean `next.lock`?"),
        (["graph", "cascades/none.lock"], "there is no file `cascades/none.lock`; "),
        (["graph", "cascades"], "`cascades` is a folder: name one of its locks, like `cascades/outer.lock`"),
        (["graph", "rulesets"], "`rulesets` is a folder: name the file of a cascade, like `cascades/outer.yaml`"),
        (["graph", "screening.bundle"], "there is no file `screening.bundle`"),
    ],
)
def test_what_cannot_be_drawn_is_told(two: Path, capsys: pytest.CaptureFixture[str], args: list[str], said: str) -> None:
    assert said in told(capsys, *args, code=2)


def test_decisions_under_a_lock_are_held_against_it(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine.load("cascades/screening.lock", ledger="ledger.db")
    engine.decide(SALE)
    assert engine.ledger is not None
    engine.ledger.close()
    cash(two, version="3.0.0", limit=1)
    assert "1 decision looked at, 0 stale" in told(capsys, "stale", "cascades/screening.lock", "--ledger", "ledger.db")
