"""What the page on versions shows of locks that follow one another runs as it stands there, in a workspace that is new."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from engine import Engine, replay
from engine.cli.main import main
from engine.cli.new import TEMPLATES
from engine.registry.lock import Lock

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "versions.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## The rules of the day")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


def follow(block: str) -> None:
    for line in block.splitlines():
        command, *words = shlex.split(line)
        if command == "engine":
            assert main(words) == 0, line
        else:
            assert command == "sed"
            subprocess.run([command, *words], check=True)


def outcomes(name: str) -> dict[str, tuple[str, str]]:
    with Path(name).open(encoding="utf-8", newline="") as file:
        return {row["key"]: (row["outcome"], row.get("lock", "")) for row in csv.DictReader(file)}


def test_the_rules_of_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "payments")
    monkeypatch.chdir(tmp_path / "payments")
    first, back = BLOCKS
    follow(first)
    seals = [Lock.read(Path(f"locks/{name}.lock")).seal for name in ("first", "second")]
    found, newest = outcomes("decisions.csv"), outcomes("newest.csv")
    assert [lock for _, lock in found.values()] == [seals[0]] * 4 + [seals[1]] * 2
    # P-1002 is of 320 GBP, on the last day but one of the old limit
    assert (found["P-1002"][0], newest["P-1002"][0]) == ("watch", "review")
    assert replay("ledger.db").fine
    follow(back)
    assert outcomes("decisions.csv")["P-1006"][1] == Lock.read(Path("locks/back.lock")).seal
    assert {one[:3] for one in Engine.load("locks").versions} >= {("ruleset", "shop/checks", "1.0.0")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("lock a.lock", "`a.lock` is a lock already: with --from say from which day"),
        ("lock a.lock --from 2026-07-01", "`a.lock` is a lock already: with --from say from which day"),
        ("lock a.lock --from 2026-07-01 --output b.lock --draft", "`a.lock` is a lock already"),
        ("lock a.lock --from 2026-07-01 --output ./a.lock", "is the lock itself, which says what held before"),
        ("lock a.lock --from tomorrow --output b.lock", "`tomorrow` is no day from which a lock holds"),
        ("lock no.lock --from 2026-07-01 --output b.lock", "the lock `no.lock` cannot be read: no such file or directory"),
        ("lock cascades/screening.yaml --output b.yaml", "`b.yaml` is no name for a lock: it ends with `.lock`"),
        ("stale locks --ledger ledger.db", "load one of the locks"),
    ],
)
def test_mistakes(words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(TEMPLATES, tmp_path / "payments")
    monkeypatch.chdir(tmp_path / "payments")
    assert main(["publish", "--all"]) == 0
    assert main(["lock", "cascades/screening.yaml", "--output", "a.lock"]) == 0
    assert main(["lock", "a.lock", "--from", "2026-01-01", "--output", "locks/a.lock"]) == 0
    assert main(["decide", "locks", "event.json", "--ledger", "ledger.db", "--json"]) == 0
    capsys.readouterr()
    assert main(shlex.split(words)) == 2
    assert said in capsys.readouterr().err
    assert not Path("b.lock").exists()
