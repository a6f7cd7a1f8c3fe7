"""A registry: what is published stays as it is, what was altered is refused by name, and nobody leaves half a version."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import Engine
from engine.cli.main import main
from engine.errors import RegistryError, SourceError
from engine.publish import publish
from engine.registry.manifest import Component, content_hash
from engine.registry.published import Need, Packed, Registry
from engine.registry.resolve import Asked, resolve
from engine.registry.store import Workspace

RULES = """ruleset shop/cash version {version}
  record shop/sale ^1

param limit: money EUR = {limit} EUR

rule CASH-01 "Large cash"
  when channel = "cash" and amount >= limit
  then score {score}
  because "{{amount}} in cash"

decide outcome first match
  review when score >= 40
  pass otherwise

test "at the limit"
  given channel = "cash", amount = {limit} EUR
  expect CASH-01 hit, outcome review
"""
RECORD = """record shop/sale version 1.0.0
  zone "UTC"
  key id
  time at
  field id: text
  field at: datetime
  field channel: text
  field amount: money EUR
"""
CASCADE = """cascade: shop/screening
version: 1.0.0
record: shop/sale@^1
steps:
  cash: {rules: shop/cash@^1}
decision: cash
"""
SALE = {"id": "S1", "at": "2026-03-06T18:20:00", "channel": "cash", "amount": "700.00"}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "rulesets/shop/sale.rules", RECORD)
    cash(tmp_path)
    write(tmp_path, "cascades/screening.yaml", CASCADE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def cash(folder: Path, version: str = "1.0.0", limit: int = 500, score: int = 40, more: str = "") -> None:
    write(folder, "rulesets/shop/cash.rules", RULES.format(version=version, limit=limit, score=score) + more)


def published(folder: Path, *names: str, why: str | None = None) -> list[str]:
    return [str(step) for step in publish(Workspace(folder), Registry(folder / "registry"), list(names) or None, why)]


def locked(folder: Path, *options: str) -> Path:
    assert main(["lock", "cascades/screening.yaml", *options]) == 0
    return folder / "cascades/screening.lock"


# --- publishing --------------------------------------------------------------------------------------------------------


def test_all_of_a_workspace_is_published_once(shop: Path) -> None:
    assert published(shop) == [f"shop/{name}@1.0.0: its first version" for name in ("cash", "sale", "screening")]
    assert published(shop) == []
    there = Registry(shop / "registry")
    one = there.newest("shop/cash")
    assert there.files(one) == {"rulesets/shop/cash.rules": (shop / "rulesets/shop/cash.rules").read_bytes()}
    assert there.config(one).needs == (Need("record", "shop/sale", "^1"),)


def test_a_published_version_never_changes(shop: Path) -> None:
    published(shop)
    cash(shop, limit=600)
    with pytest.raises(RegistryError) as error:
        published(shop, "shop/cash")
    said = str(error.value)
    assert "`shop/cash@1.0.0` is published and never changes" in said and "`rulesets/shop/cash.rules` differs" in said
    assert said.count("sha256:") == 2 and said.endswith("give it a new version")


RULE = """
rule CASH-02 "Any cash"
  when channel = "cash"
  then score 1
"""


@pytest.mark.parametrize(
    ("change", "version", "told"),
    [
        ({"more": "# a comment\n"}, "1.0.1", "a patch change"),
        ({"more": RULE}, "1.0.1", 'a minor change: the output `hit("CASH-02")` is new; the rule `CASH-02` is new; call it 1.1.0'),
        ({"more": RULE}, "1.1.0", "a minor change"),
        ({"limit": 600}, "1.1.0", "a major change: the rule `CASH-01` means something else; call it 2.0.0"),
        ({"score": 41}, "1.1.0", "a major change: the rule `CASH-01` means something else; call it 2.0.0"),
        ({"limit": 600}, "2.0.0", "a major change"),
    ],
)
def test_a_number_must_promise_what_changes(shop: Path, change: dict[str, object], version: str, told: str) -> None:
    published(shop)
    cash(shop, version=version, **change)  # type: ignore[arg-type]
    if "call it" not in told:
        assert published(shop, "shop/cash")[0].startswith(f"shop/cash@{version}: after 1.0.0, {told}")
        return
    with pytest.raises(RegistryError, match=r"promises less than it changes: after 1.0.0 it is") as error:
        published(shop, "shop/cash")
    assert told in str(error.value)
    assert published(shop, "shop/cash", why="the limit never held")
    registry = Registry(shop / "registry")
    assert registry.config(registry.get("shop/cash", version)).notes == {"why": "the limit never held"}


EXCEPTION = """
exception CASH-01-E1 "Carrier" for CASH-01
  when channel = "{channel}"
  until 2030-12-31
  approved by "{who}"
  because "licensed"
"""


OTHER = """ruleset shop/other version 1.0.0
  record shop/sale ^1

rule ODD-01 "Odd"
  when amount > 1 EUR
  then flag odd
"""
HIGHEST = "  score max\n"
FLOORED = HIGHEST + "  uses ruleset shop/other ^1\n  score at least 5 when other.flags.odd\n"


@pytest.mark.parametrize(
    ("channel", "who", "head", "told"),
    [
        ("truck", "Head", "", "the exception `CASH-01-E1` means something else"),
        ("van", "Deputy", "", "the exception `CASH-01-E1` means something else"),
        ("van", "Head", HIGHEST, "how points come together means something else"),
        ("van", "Head", FLOORED, "it takes `other.flags.odd` too; how points come together means something else"),
    ],
)
def test_exceptions_and_how_points_come_together_are_meaning(shop: Path, channel: str, who: str, head: str, told: str) -> None:
    write(shop, "rulesets/shop/other.rules", OTHER)
    cash(shop, more=EXCEPTION.format(channel="van", who="Head"))
    published(shop)
    cash(shop, version="2.0.0", more=EXCEPTION.format(channel=channel, who=who))
    path = shop / "rulesets/shop/cash.rules"
    path.write_text(path.read_text(encoding="utf-8").replace("^1\n", f"^1\n{head}", 1), encoding="utf-8")
    assert published(shop, "shop/cash") == [f"shop/cash@2.0.0: after 1.0.0, a major change: {told}"]


def test_what_does_not_check_or_pass_is_not_published(shop: Path) -> None:
    cash(shop, score=10)
    with pytest.raises(RegistryError, match=r"`shop/cash` fails 1 of its tests, the first is at rulesets/shop/cash.rules:") as error:
        published(shop)
    assert "expected outcome review" in str(error.value)
    write(shop, "rulesets/shop/cash.rules", RULES.format(version="1.0.0", limit=1, score=40).replace("amount >=", "amoutn >="))
    with pytest.raises(SourceError, match=r"did you mean `amount`"):
        published(shop)
    assert not Registry(shop / "registry").all()


def test_what_is_needed_is_there_first(shop: Path) -> None:
    with pytest.raises(RegistryError, match=r"`shop/cash@1.0.0` needs `shop/sale@\^1`, which .* does not have: publish that first"):
        published(shop, "shop/cash")
    with pytest.raises(RegistryError, match=r"no component `shop/csah`; did you mean `shop/cash`"):
        published(shop, "shop/csah")


# --- locks -------------------------------------------------------------------------------------------------------------


def test_a_lock_loads_what_it_holds_whatever_lies_in_the_tree(shop: Path) -> None:
    published(shop)
    lock = locked(shop)
    old = Engine.load(lock)
    cash(shop, version="1.1.0", limit=900, more=RULE)
    published(shop, "shop/cash", why="for the test")
    (shop / "rulesets/shop/cash.rules").write_text("no rules any more")
    assert old.decide(SALE).outcome == Engine.load(lock).decide(SALE).outcome == "review"
    before = lock.read_bytes()
    (shop / "rulesets/shop/cash.rules").write_bytes(b"")
    cash(shop, version="1.1.0", limit=900, more=RULE)
    new = Engine.load(locked(shop))
    assert (new.decide(SALE).outcome, old.decide(SALE).outcome) == ("pass", "review")  # side by side
    assert new.decide(SALE).lock != old.decide(SALE).lock and ("ruleset", "shop/cash", "1.1.0") in {one[:3] for one in new.versions}
    lock.write_bytes(before)  # back in one step
    assert Engine.load(lock).decide(SALE).to_json() == old.decide(SALE).to_json()


def test_a_decision_under_a_lock_is_replayed_from_its_ledger_alone(shop: Path) -> None:
    published(shop)
    engine = Engine.load(locked(shop), ledger="ledger.db")
    assert engine.decide(SALE).lock == engine.lock is not None
    assert engine.ledger is not None
    engine.ledger.close()
    (shop / "registry/index.json").unlink()
    assert main(["replay", "ledger.db"]) == 0


def test_drafts_are_locked_only_when_asked_for(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "cascades/screening.yaml"]) == 2
    assert "`shop/screening@1.0.0` is a draft: publish it with `engine publish shop/screening`" in capsys.readouterr().err
    lock = locked(shop, "--draft")
    assert Engine.load(lock).decide(SALE).outcome == "review"
    cash(shop, limit=600)
    with pytest.raises(RegistryError, match=r"`shop/cash@1.0.0` is not what the lock .* holds"):
        Engine.load(lock)
    published(shop)
    write(shop, "cascades/screening.yaml", CASCADE + "# more\n")
    assert main(["lock", "cascades/screening.yaml"]) == 2
    assert "`shop/screening@1.0.0` was changed since it was published" in capsys.readouterr().err


def edited(lock: Path, old: str, new: str) -> None:
    text = lock.read_text()
    assert old in text
    lock.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"name": "shop/cash"', '"name": "shop/card"', "was edited by hand"),
        ('"engine": "', '"engine": "9.', "was edited by hand"),
        ('"lock"', '"lok"', "is no lock"),
        ("{", "", "is no lock"),
        ('"cascade": "cascades/', '"cascade": "../', "which is no place in a workspace"),
    ],
)
def test_a_lock_that_was_edited_is_refused(shop: Path, old: str, new: str, said: str) -> None:
    published(shop)
    lock = locked(shop)
    edited(lock, old, new)
    with pytest.raises(RegistryError, match=said):
        Engine.load(lock)


def test_a_lock_of_a_newer_engine_is_refused(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop)
    monkeypatch.setattr("engine.locking.VERSION", "9.0.0")
    with pytest.raises(RegistryError, match=r"was made by engine 9.0.0 with language"):
        Engine.load(locked(shop))


# --- what is damaged ---------------------------------------------------------------------------------------------------


def blob_of(shop: Path, words: bytes) -> Path:
    return next(path for path in (shop / "registry/blobs/sha256").iterdir() if words in path.read_bytes() and path.read_bytes()[:1] != b"{")


def flip(shop: Path) -> None:
    blob = blob_of(shop, b"CASH-01")
    data = bytearray(blob.read_bytes())
    data[40] ^= 1
    blob.write_bytes(data)


def lose(shop: Path) -> None:
    blob_of(shop, b"CASH-01").unlink()


def cut(shop: Path) -> None:
    blob = blob_of(shop, b"CASH-01")
    blob.write_bytes(blob.read_bytes()[:-1])


@pytest.mark.parametrize(("damage", "said"), [(flip, "was altered: its bytes"), (lose, "is missing from"), (cut, "was altered: it has")])
def test_a_blob_that_is_not_what_it_was_is_named(shop: Path, damage: object, said: str) -> None:
    published(shop)
    lock = locked(shop)
    damage(shop)  # type: ignore[operator]
    with pytest.raises(RegistryError, match=f"`shop/cash@1.0.0`, file `rulesets/shop/cash.rules`: the blob sha256:[0-9a-f]+ {said}"):
        Engine.load(lock)
    cash(shop, version="1.0.1", more="# a comment\n")
    if damage is not lose:
        published(shop, "shop/cash")  # another version is not in its way


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("index.json", b"{", "is no JSON"),
        ("index.json", b"[]", "is no index"),
        ("index.json", b'{"manifests": [{"digest": "md5:1"}]}', "no SHA-256 digest"),
        ("oci-layout", b'{"imageLayoutVersion": "2.0.0"}', "version '2.0.0'"),
    ],
)
def test_an_index_that_is_none_is_refused(shop: Path, name: str, data: bytes, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    published(shop)
    (shop / "registry" / name).write_bytes(data)
    assert main(["list"]) == 2
    assert said in (err := capsys.readouterr().err) and "Traceback" not in err


def test_names_that_lead_out_of_the_workspace_are_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    for path in ("../x.rules", "/etc/passwd", "rulesets/../../x", "C:\\x", "a//b", ""):
        registry.publish([pack("a/b", "1.0.0", files={path: b"x"})])
        with pytest.raises(RegistryError, match="no place in a workspace"):
            registry.files(registry.get("a/b", "1.0.0"))
        (tmp_path / "registry/index.json").unlink()
        (tmp_path / "registry/oci-layout").unlink()


# --- many at once ------------------------------------------------------------------------------------------------------


def pack(name: str, version: str, *needs: str, files: dict[str, bytes] | None = None) -> Packed:
    files = files or {f"rulesets/{name}.rules": f"{name} {version}".encode()}
    found = tuple(Need("record", *need.split("@")) for need in needs)
    return Packed(Component("record", name, version, content_hash(files.items())), files, found)


def _publisher(folder: Path, start: int) -> None:
    registry = Registry(folder)
    for number in range(start, start + 25):
        registry.publish([pack("a/b", f"1.{number}.0")])


def test_publishers_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_publisher, args=(tmp_path / "registry", start)) for start in (0, 10, 25)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0, 0]
    registry = Registry(tmp_path / "registry")
    assert [one.component.version for one in registry.all()] == [f"1.{number}.0" for number in range(50)]
    assert all(registry.files(one) for one in registry.all())


def test_whoever_is_killed_leaves_no_half_version(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
from tests.registry.test_published import _publisher
for start in range(0, 10_000, 25):
    _publisher(Path({str(tmp_path / "registry")!r}), start)
"""
    registry = Registry(tmp_path / "registry")
    for round_ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code])
        end = time.monotonic() + 30
        while time.monotonic() < end and len(registry.all()) < 10 * (round_ + 1):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        there = registry.all()
        assert len(there) >= 10 * (round_ + 1) and all(registry.files(one) for one in there)
    json.loads((tmp_path / "registry/index.json").read_bytes())


# --- which go together -------------------------------------------------------------------------------------------------


def asked(*needs: str) -> list[Asked]:
    return [Asked(Need("record", *need.split("@")), "`cascades/a.yaml`") for need in needs]


def test_the_newest_that_go_together_are_taken(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish(
        [
            *(pack("a/base", version) for version in ("1.0.0", "1.4.0", "2.0.0", "2.1.0-rc.1")),
            pack("a/one", "1.0.0", "a/base@^1"),
            pack("a/one", "1.1.0", "a/base@^2"),
            pack("a/two", "1.0.0", "a/base@~1.4"),
        ]
    )

    def found(*needs: str) -> list[str]:
        return [str(one) for one in resolve(registry, asked(*needs))]

    assert found("a/base@^1") == ["a/base@1.4.0"] and found("a/base@^2") == ["a/base@2.0.0"]
    assert found("a/base@2.1.0-rc.1") == ["a/base@2.1.0-rc.1"]
    assert found("a/one@^1") == ["a/base@2.0.0", "a/one@1.1.0"]
    assert found("a/one@^1", "a/two@^1") == ["a/base@1.4.0", "a/one@1.0.0", "a/two@1.0.0"]
    registry.yank("a/base", "1.4.0", "wrong by ten")
    assert found("a/base@^1") == ["a/base@1.0.0"] and found("a/base@1.4.0") == ["a/base@1.4.0"]
    with pytest.raises(RegistryError) as error:
        found("a/one@1.1.0", "a/two@^1")
    said = str(error.value)
    assert "no version of record a/base serves everyone" in said
    assert "a/one@1.1.0 asks for a/base@^2" in said and "a/two@1.0.0 asks for a/base@~1.4" in said and "1.4.0 (yanked)" in said
    with pytest.raises(RegistryError, match=r"there is no record a/bsae in .*:\n  .* asks for a/bsae@\^1\n  did you mean `record a/base`"):
        found("a/bsae@^1")
