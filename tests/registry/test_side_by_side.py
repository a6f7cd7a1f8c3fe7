"""Several versions of one component, and several locks of one cascade, in one process and from threads; going back is loading a lock."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine import Engine
from engine.cli.main import main
from tests.registry.test_published import CASCADE, SALE, cash, locked, published, shop, write

__all__ = ["shop"]

LIMITS = (500, 650, 800, 950)
AMOUNTS = tuple(range(400, 1100, 50))


def locks_of(shop: Path) -> list[Path]:
    """A lock for each of four versions of the rules, which differ in a limit."""
    found = []
    for number, limit in enumerate(LIMITS):
        cash(shop, version=f"1.{number}.0", limit=limit)
        published(shop, why="for the test")
        found.append(locked(shop).rename(shop / f"{limit}.lock"))
    return found


def outcomes(engine: Engine) -> list[str]:
    return [engine.decide({**SALE, "id": str(amount), "amount": f"{amount}.00"}).outcome for amount in AMOUNTS]


def wanted(limit: int) -> list[str]:
    return ["review" if amount >= limit else "pass" for amount in AMOUNTS]


def test_locks_of_one_cascade_live_side_by_side_in_threads(shop: Path) -> None:
    locks = locks_of(shop)
    shutil.rmtree(shop / "rulesets")
    engines = [Engine.load(lock) for lock in locks]
    assert [outcomes(engine) for engine in engines] == [wanted(limit) for limit in LIMITS]
    assert [[version for _, name, version, _ in engine.versions if name == "shop/cash"] for engine in engines] == [
        [f"1.{number}.0"] for number in range(4)
    ]
    together = threading.Barrier(8)

    def work(thread: int) -> bool:
        """Half of the threads share an engine with another one, half load their own while the others decide."""
        at = thread % 4
        together.wait()
        for _ in range(5):
            engine = engines[at] if thread < 4 else Engine.load(locks[at])
            if outcomes(engine) != wanted(LIMITS[at]) or engine.decide(SALE).lock != engines[at].lock:
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_two_versions_of_one_rule_set_serve_one_cascade_and_another(shop: Path) -> None:
    """Two cascades pin two versions; both locks load, though each version has the same file."""
    published(shop)
    cash(shop, version="2.0.0", limit=900)
    write(shop, "cascades/strict.yaml", CASCADE.replace("shop/screening", "shop/lenient").replace("cash@^1", "cash@^2"))
    published(shop, "shop/cash", "shop/lenient")
    assert main(["lock", "cascades/strict.yaml", "--output", "lenient.lock"]) == 0
    cash(shop)
    old = Engine.load(locked(shop))
    new = Engine.load("lenient.lock")
    assert (old.decide(SALE).outcome, new.decide(SALE).outcome) == ("review", "pass")
    assert {one[2] for one in (*old.versions, *new.versions) if one[1] == "shop/cash"} == {"1.0.0", "2.0.0"}


def test_going_back_is_loading_the_lock_before(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was published since, and whatever lies in the working tree, or does not: the decision is the same to the byte."""
    before, *_, now = locks_of(shop)
    first = Engine.load(before).decide(SALE).to_json()
    assert Engine.load(now).decide(SALE).outcome == "pass"
    assert main(["yank", "shop/cash@1.0.0", "--because", "replaced"]) == 0
    shutil.rmtree(shop / "rulesets")
    write(shop, "event.json", json.dumps(SALE))
    capsys.readouterr()
    assert main(["decide", str(before), "event.json", "--json"]) == 0
    assert capsys.readouterr().out.strip() == first
