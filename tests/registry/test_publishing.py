"""What publishing looks at again: what is published as it lies there is passed over, unless something it needs is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import engine.publish
from engine import Engine
from engine.errors import RegistryError, SourceError
from engine.locking import make_lock
from engine.publish import publish
from engine.registry.lock import Lock, locked
from engine.registry.lock import files as lock_files
from engine.registry.manifest import Component, content_hash
from engine.registry.published import Packed, Registry
from engine.registry.store import Workspace
from engine.testkit.runner import run_tests

FILES = {
    "rulesets/bank/payment.rules": """record bank/payment version 1.0.0
  key id
  time at
  field id: text
  field at: datetime
  field who: text
""",
    "rulesets/bank/watched.rules": 'list bank/watched version 1.0.0\nfrom "data/watched.csv" column "account"\n',
    "rulesets/bank/data/watched.csv": "account\nA1\n",
    "rulesets/bank/checks.rules": """ruleset bank/checks version 1.0.0
  record bank/payment ^1
  uses list bank/watched ^1
rule LIST-01 "Watched"
  when who in bank.watched
  then score 40
test "watched"
  given who = "A1"
  expect LIST-01 hit
""",
    "rulesets/bank/other.rules": """ruleset bank/other version 1.0.0
  record bank/payment ^1
rule ODD-01 "Odd"
  when who = "odd"
  then score 1
test "odd"
  given who = "odd"
  expect ODD-01 hit
""",
    "cascades/all.yaml": """cascade: bank/all
version: 1.0.0
record: bank/payment@^1
steps:
  checks: {rules: bank/verdict@^1}
decision: checks
""",
    "rulesets/bank/verdict.rules": """ruleset bank/verdict version 1.0.0
  record bank/payment ^1
rule V-01 "Any"
  when who is known
  then score 1
decide outcome first match
  pass otherwise
""",
}


def write(folder: Path, place: str, text: str) -> None:
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_text(text, encoding="utf-8")


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    for place, text in FILES.items():
        write(tmp_path, place, text)
    return tmp_path.resolve()


def published(folder: Path, *names: str) -> list[str]:
    return [str(step.component) for step in publish(Workspace(folder), Registry(folder / "registry"), list(names) or None)]


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rule sets whose tests were run."""
    names: list[str] = []

    def noted(components: object, found: object, *rest: object) -> object:
        names.append(str(getattr(found, "name", "")))
        return run_tests(components, found, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.publish, "run_tests", noted)
    return names


def test_what_is_published_as_it_lies_there_is_not_tested_again(bank: Path, tested: list[str]) -> None:
    assert len(published(bank)) == 6 and sorted(tested) == ["bank/checks", "bank/other", "bank/verdict"]
    tested.clear()
    assert published(bank) == [] and tested == []
    write(bank, "rulesets/bank/other.rules", FILES["rulesets/bank/other.rules"].replace("1.0.0", "1.0.1") + "# more\n")
    assert published(bank) == ["bank/other@1.0.1"] and tested == ["bank/other"]


def test_what_reads_something_that_changed_is_tested_with_it(bank: Path, tested: list[str]) -> None:
    published(bank)
    tested.clear()
    write(bank, "rulesets/bank/watched.rules", FILES["rulesets/bank/watched.rules"].replace("1.0.0", "1.1.0"))
    write(bank, "rulesets/bank/data/watched.csv", "account\nA1\nA2\n")
    assert published(bank) == ["bank/watched@1.1.0"] and tested == ["bank/checks"]
    write(bank, "rulesets/bank/watched.rules", FILES["rulesets/bank/watched.rules"].replace("1.0.0", "1.2.0"))
    write(bank, "rulesets/bank/data/watched.csv", "account\nA2\n")
    with pytest.raises(RegistryError, match="`bank/checks` fails 1 of its tests"):
        published(bank)


def spoil_record(bank: Path) -> None:
    write(bank, "rulesets/bank/payment.rules", "record bank/payment version")


def spoil_list(bank: Path) -> None:
    write(bank, "rulesets/bank/data/watched.csv", "account\nA1\nA3\n")


def spoil_blobs(bank: Path) -> None:
    for path in (bank / "registry/blobs/sha256").iterdir():
        if b'"needs"' in path.read_bytes():
            path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (spoil_record, SourceError),
        (spoil_list, RegistryError),
    ],
)
def test_what_was_spoilt_since_is_not_passed_over(bank: Path, spoil: Callable[[Path], None], error: type[Exception]) -> None:
    published(bank)
    spoil(bank)
    with pytest.raises(error):
        published(bank)


def test_a_damaged_version_is_no_reason_to_say_that_all_is_well(bank: Path, tested: list[str]) -> None:
    published(bank)
    tested.clear()
    spoil_blobs(bank)
    assert published(bank) == [] and sorted(tested) == ["bank/checks", "bank/other", "bank/verdict"]


def test_what_is_needed_is_there_in_a_version_that_fits(bank: Path) -> None:
    published(bank)
    write(bank, "rulesets/bank/watched.rules", FILES["rulesets/bank/watched.rules"].replace("1.0.0", "2.0.0"))
    write(
        bank,
        "rulesets/bank/checks.rules",
        FILES["rulesets/bank/checks.rules"].replace("1.0.0", "1.1.0").replace("watched ^1", "watched ^2"),
    )
    with pytest.raises(RegistryError, match=r"`bank/checks@1.1.0` needs `bank/watched@\^2`, .*; it has 1.0.0: publish that first"):
        published(bank, "bank/checks")
    assert published(bank) == ["bank/checks@1.1.0", "bank/watched@2.0.0"]
    Registry(bank / "registry").yank("bank/watched", "2.0.0", "wrong")
    write(bank, "rulesets/bank/checks.rules", (bank / "rulesets/bank/checks.rules").read_text().replace("1.1.0", "1.1.1"))
    with pytest.raises(RegistryError, match=r"needs `bank/watched@\^2`"):
        published(bank, "bank/checks")


# --- what must not slip in or be passed over ---------------------------------------------------------------------------


def test_a_cascade_that_does_not_read_is_not_passed_over(bank: Path) -> None:
    write(bank, "cascades/broken.yaml", "cascade: bank/broken\nversion: one\nsteps: {}\n")
    with pytest.raises(SourceError, match=r"cascades/broken.yaml:2"):
        published(bank)
    assert not Registry(bank / "registry").all()


def test_two_files_of_one_cascade_are_refused(bank: Path) -> None:
    write(bank, "cascades/again.yaml", FILES["cascades/all.yaml"] + "# again\n")
    with pytest.raises(RegistryError, match=r"`bank/all@1.0.0` stands in two files: `cascades/again.yaml` and `cascades/all.yaml`"):
        published(bank)
    assert not Registry(bank / "registry").all()


def test_rule_sets_that_need_one_another_are_refused_naming_the_circle(bank: Path) -> None:
    circle = FILES["rulesets/bank/other.rules"].replace("  record bank/payment ^1\n", "  record bank/payment ^1\n  uses ruleset bank/{}\n")
    reads = '\nrule ODD-02 "Both"\n  when {}.flags.seen\n  then flag seen\n'
    write(bank, "rulesets/bank/other.rules", circle.format("third") + reads.format("third"))
    write(
        bank,
        "rulesets/bank/third.rules",
        circle.format("other").replace("ruleset bank/other", "ruleset bank/third", 1) + reads.format("other"),
    )
    with pytest.raises(SourceError, match=r"read one another in a circle: `bank/other` -> `bank/third` -> `bank/other`"):
        published(bank)


@pytest.mark.parametrize(("name", "told"), [("банк/касса", "names are written with the letters a to z"), ("Bank/Till", "in small letters")])
def test_names_in_other_letters_are_refused(bank: Path, name: str, told: str) -> None:
    write(bank, f"rulesets/{name}.rules", FILES["rulesets/bank/payment.rules"].replace("bank/payment", name))
    with pytest.raises(SourceError, match=told):
        published(bank)


def test_a_file_with_a_mark_at_its_beginning_is_the_same(bank: Path) -> None:
    published(bank)
    path = bank / "rulesets/bank/other.rules"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert published(bank) == []


def test_links_are_published_as_what_they_lead_to_under_their_own_names(bank: Path) -> None:
    (bank / "rulesets/bank/data/watched.csv").rename(bank / "rulesets/real.csv")
    (bank / "rulesets/bank/data/watched.csv").symlink_to(bank / "rulesets/real.csv")
    assert len(published(bank)) == 6
    registry = Registry(bank / "registry")
    assert registry.files(registry.newest("bank/watched"))["rulesets/bank/data/watched.csv"] == b"account\nA1\n"
    lock = bank / "cascades/all.lock"
    lock.write_text(make_lock(bank / "cascades/all.yaml", registry).text())
    assert Engine.load(lock).lock is not None


def test_a_cascade_that_moved_is_locked_where_it_was_published(bank: Path) -> None:
    published(bank)
    write(bank, "cascades/old/all.yaml", FILES["cascades/all.yaml"])
    (bank / "cascades/all.yaml").unlink()
    assert published(bank) == []
    lock = bank / "all.lock"
    lock.write_text(make_lock(bank / "cascades/old/all.yaml", Registry(bank / "registry")).text())
    assert Engine.load(lock).lock is not None


def packed_with(name: str, place: str) -> Packed:
    return Packed(Component("list", name, "1.0.0", content_hash([(place, b"x")])), {place: name.encode()}, ())


@pytest.mark.parametrize(("one", "other"), [("rulesets/a/X.csv", "rulesets/a/x.csv"), ("rulesets/a/x", "rulesets/a/x/y.csv")])
def test_files_that_cannot_lie_side_by_side_everywhere_are_refused(tmp_path: Path, one: str, other: str) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish([packed_with("a/one", one), packed_with("a/two", other)])
    lock = Lock("a/all", "1.0.0", "cascades/all.yaml", "1.0.0", "0.1", tuple(map(locked, registry.all())))
    with pytest.raises(RegistryError, match=r"`a/one@1.0.0` and `a/two@1.0.0` hold `.*` and `.*`, which cannot lie in one folder"):
        lock_files(lock, registry)
