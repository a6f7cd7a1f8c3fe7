"""Many publishers on one registry of thousands, killed at any moment: what was said to be there stays, whole, and nothing gathers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.registry.manifest import Component, content_hash
from engine.registry.published import Need, Packed, Registry
from engine.registry.unfinished import clear

PUBLISHER = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from tests.registry.test_stress import packs
from engine.registry.published import Registry
registry, who = Registry(Path({folder!r})), sys.argv[1]
for number in range(10_000):
    made = packs(who, number)
    registry.publish(made)
    print(number, flush=True)
"""


def pack(name: str, version: str, *needs: Need) -> Packed:
    files = {f"rulesets/{name}.rules": f"{name} {version}".encode() * 50, f"rulesets/{name}.csv": version.encode()}
    return Packed(Component("record", name, version, content_hash(files.items())), files, needs, {"data": version})


def packs(who: str, number: int) -> list[Packed]:
    """What a publisher publishes at once: its own versions, and one that all of them publish."""
    both = [pack(f"a/own-{who}", f"1.{number}.{patch}") for patch in range(2)]
    return [*both, pack("a/shared", f"1.{number}.0", Need("record", "a/own", None))]


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of 2,000 versions."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)  # nobody is killed while it is filled
        Registry(tmp_path / "registry").publish([pack(f"b/set-{n // 20}", f"1.{n % 20}.0") for n in range(2_000)])
    return tmp_path / "registry"


def test_publishers_killed_at_any_moment_leave_the_registry_whole(crowded: Path, tmp_path: Path) -> None:
    code = PUBLISHER.format(paths=sys.path, folder=str(crowded))
    rng, seen, running = random.Random(7), {f"b/set-{n // 20}@1.{n % 20}.0" for n in range(2_000)}, dict[str, subprocess.Popen[bytes]]()
    for kill in range(12):
        for place in range(3):
            if f"w{place}" not in running:
                who = f"w{place}-k{kill}"
                with (tmp_path / who).open("wb") as log:
                    running[f"w{place}"] = subprocess.Popen([sys.executable, "-c", code, who], stdout=log)
        time.sleep(rng.uniform(0.3, 0.9))
        victim = rng.choice(sorted(running))
        process = running.pop(victim)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        seen = whole(crowded, seen)
    for process in running.values():
        process.kill()
        process.wait()
    there = whole(crowded, seen)
    for log in tmp_path.glob("w*-k*"):  # what was said to be published is there
        said = [int(line) for line in log.read_text().splitlines()]
        assert {f"a/own-{log.name}@1.{number}.{patch}" for number in said for patch in range(2)} <= there
    assert len(there) > 2_020
    Registry(crowded).publish([pack("a/last", "1.0.0")])  # nobody holds the lock, nothing is in the way


def whole(folder: Path, before: set[str]) -> set[str]:
    """The versions that are there: none was lost, and every new one has every blob, as its digest says."""
    registry = Registry(folder)
    json.loads((folder / "index.json").read_bytes())
    there = {str(one): one for one in registry.all()}
    assert before <= there.keys()
    for name in there.keys() - before:
        assert registry.whole(there[name]) and registry.config(there[name]).facts
    return set(there)


def test_what_the_killed_have_left_is_cleared_away(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.publish([pack("a/one", "1.0.0")])
    old, new = (tmp_path / "registry" / "blobs/sha256" / f".unfinished-{name}" for name in ("old", "new"))
    index = tmp_path / "registry/.unfinished-index"
    for path in (old, new, index):
        path.write_bytes(b"half")
    for path in (old, index):
        os.utime(path, (time.time() - 100_000, time.time() - 100_000))
    registry.publish([pack("a/one", "1.0.1")])
    assert not old.exists() and not index.exists() and new.exists()  # the young one may still be written to
    clear(new.parent)
    assert new.exists()


def test_an_index_never_names_what_is_not_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    real = os.fsync

    def noted(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink())
        real(number)

    monkeypatch.setattr(os, "fsync", noted)
    registry = Registry(tmp_path / "registry")
    registry.publish([pack("a/one", f"1.{n}.0") for n in range(5)])
    *before, last = [path.name for path in synced]
    blobs = {path.name for path in (tmp_path / "registry/blobs/sha256").iterdir()}
    assert last.startswith(".unfinished-") and blobs <= set(before)
