"""Registries: publishing, resolving and loading hundreds of components with many versions each. See README.md beside it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine import Engine
from engine.locking import make_lock
from engine.publish import publish
from engine.registry.manifest import Component, content_hash
from engine.registry.published import Need, Packed, Registry
from engine.registry.resolve import Asked, resolve
from engine.registry.store import Workspace

ROOT = Path(__file__).parents[1]
TRIAGE = ROOT / "examples/aml"
AREAS = 10
SHARES = {"record": 1, "list": 8, "table": 4, "features": 8, "ruleset": 25, "cascade": 4}
"""How many components of each kind stand in one of ten areas, of fifty."""

Figure = tuple[str, float, str]


@dataclass
class Made:
    """One component as it grows from version to version: what was added to it, and how often it came to mean something else."""

    kind: str
    name: str
    area: int
    number: int
    major: int = 1
    minor: int = 0
    patch: int = 0

    @property
    def version(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def turn(self) -> int:
        return self.area * 7 + self.number

    def step(self, generation: int, torn: bool) -> None:
        """The next version: mostly a patch or something more; another meaning now and then, and where what it needs is `torn`."""
        if torn or (self.kind in ("ruleset", "features") and (generation + self.turn) % 15 == 0):
            self.major, self.minor, self.patch = self.major + 1, 0, 0
        elif (generation + self.turn) % 2 == 0 and self.kind != "cascade":
            self.minor, self.patch = self.minor + 1, 0
        else:
            self.patch += 1


class Growing:
    """A workspace of components that need one another, written anew for every generation."""

    def __init__(self, folder: Path, areas: int = AREAS) -> None:
        self.folder, self.generation = folder, 0
        self.made = {
            (kind, area, number): Made(kind, f"area_{area}/{kind}_{number}", area, number)
            for area in range(areas)
            for kind, count in SHARES.items()
            for number in range(count)
        }

    def write(self) -> None:
        """The working tree of this generation."""
        for one in self.made.values():
            suffix, text = f"rulesets/{one.name}.rules", getattr(self, f"_{one.kind}")(one)
            path = self.folder / (f"cascades/{one.name}.yaml" if one.kind == "cascade" else suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# generation {self.generation}\n{text}", encoding="utf-8")

    def grow(self) -> None:
        self.generation += 1
        before = {key: one.major for key, one in self.made.items()}
        for (kind, area, number), one in self.made.items():  # in an order in which each comes after what it needs
            read = {"ruleset": "features", "cascade": "ruleset"}.get(kind)
            needed = [(read, area, n % SHARES[read]) for n in _numbers(kind, number)] if read else []
            one.step(self.generation, any(self.made[key].major != before[key] for key in needed))

    def _needed(self, one: Made, kind: str, number: int) -> str:
        other = self.made[(kind, one.area, number % SHARES[kind])]
        return f"{other.name} ^{other.major}"

    def _record(self, one: Made) -> str:
        more = "".join(f"  field more_{n}: text optional\n" for n in range(one.minor))
        fields = "  field id: text\n  field at: datetime\n  field account: text\n  field channel: text\n  field amount: money EUR\n"
        return f'record {one.name} version {one.version}\n  zone "UTC"\n  key id\n  time at\n{fields}{more}'

    def _list(self, one: Made) -> str:
        self._csv(one, "account", (f"DE{one.number}{n:06}" for n in range(50 + one.minor)))
        return f'list {one.name} version {one.version}\nfrom "{one.name.partition("/")[2]}.csv" column "account"\n'

    def _table(self, one: Made) -> str:
        self._csv(one, "account,segment", (f"DE{one.number}{n:06},s{n % 7}" for n in range(200 + one.minor)))
        rows = f'  rows from "{one.name.partition("/")[2]}.csv"\n  key account\n'
        return f"table {one.name} version {one.version}\n{rows}  column account: text\n  column segment: text\n"

    def _csv(self, one: Made, header: str, lines: Iterator[str]) -> None:
        path = self.folder / f"rulesets/{one.name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")

    def _features(self, one: Made) -> str:
        windows = "".join(f"feature paid_{n} = count over {n + 2} days per account\n" for n in range(3 + one.minor))
        sums = f"feature total = sum of amount over {6 + one.major} days per account\n"
        return f"features {one.name} version {one.version}\n  record {self._needed(one, 'record', 0)}\n\n{sums}{windows}"

    def _ruleset(self, one: Made) -> str:
        needed = {kind: self._needed(one, kind, one.number) for kind in ("features", "list", "table")}
        alias, listed, table = (needed[kind].partition(" ")[0] for kind in ("features", "list", "table"))
        rules = "".join(
            f"""
rule R-{n:02} "Rule {n}"
  when count_of.paid_{n % 3} > {n + one.major} and channel = "cash" or account in {listed.replace("/", ".")}
  then score {n + 1}, flag seen_{n}
  because "{{count_of.paid_{n % 3}}} payments"
"""
            for n in range(4 + one.minor)
        ).replace("count_of", alias.partition("/")[2])
        return f"""ruleset {one.name} version {one.version}
  record {self._needed(one, "record", 0)}
  uses features {needed["features"]}
  uses list {needed["list"]}
  uses table {needed["table"]} by account
  on missing refer

param most: money EUR = {100 * one.major} EUR

rule R-99 "Much by one segment"
  when amount > most and {table.partition("/")[2]}.segment = "s1"
  then score 50
  because "{{amount}} by {{account}}"
{rules}
decide outcome first match
  review when score >= 50
  pass otherwise

test "much is reviewed"
  given amount = {100 * one.major + 1} EUR, account = "DE", channel = "card", {table.partition("/")[2]}.segment = "s1"
  expect R-99 hit, outcome review
"""

    def _cascade(self, one: Made) -> str:
        asked = {n: self._needed(one, "ruleset", n).replace(" ", "@") for n in _numbers("cascade", one.number)}
        steps = "".join(f"  step_{n}: {{rules: {wanted}}}\n" for n, wanted in asked.items())
        head = f"cascade: {one.name}\nversion: {one.version}\nrecord: {self._needed(one, 'record', 0).replace(' ', '@')}\n"
        return f"{head}steps:\n{steps}decision: step_{min(asked)}\n"


def _numbers(kind: str, number: int) -> range:
    """Which feature set a rule set reads, which rule sets a cascade runs."""
    return range(6 * number, 6 * number + 6) if kind == "cascade" else range(number, number + 1)


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of this process's CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def both(label: str, work: Callable[[], object], rounds: int = 3) -> Iterator[Figure]:
    """The best of several rounds."""
    times = [spent(work) for _ in range(rounds)]
    yield label, min(clock for clock, _ in times), "s"
    yield f"{label}, CPU", min(cpu for _, cpu in times), "s"


def grown(folder: Path, versions: int) -> Iterator[Figure]:
    """Every component published in so many versions, as `engine publish --all` does it; then all cascades locked, and one loaded."""
    tree, registry = Growing(folder), Registry(folder / "registry")
    took = []
    for number in range(versions):
        if number:
            tree.grow()
        tree.write()
        took.append(spent(lambda: publish(Workspace(folder), registry, None)))
    cpu = [seconds for _, seconds in took]
    yield f"publish 500 components, {versions} times", sum(clock for clock, _ in took), "s"
    yield "the same, CPU", sum(cpu), "s"
    yield "the last time, CPU", cpu[-1], "s"
    yield "versions there are then", float(len(registry.all())), ""
    yield from both("publish all, nothing changed", lambda: publish(Workspace(folder), registry, None))
    one = tree.made[("ruleset", 0, 24)]  # that no cascade runs
    one.minor += 1
    tree.write()
    yield from both("publish one more", lambda: publish(Workspace(folder), registry, [one.name]), 1)
    cascades = sorted((folder / "cascades").rglob("*.yaml"))
    wanted = [Asked(Need("cascade", f"area_{n // 4}/cascade_{n % 4}", None), "bench") for n in range(len(cascades))]
    yield from both("resolve one cascade of some twenty components", lambda: resolve(registry, wanted[:1]))
    yield from both("resolve all 40 at once, all 500 components", lambda: resolve(registry, wanted))
    yield from both("lock one cascade", lambda: make_lock(cascades[0], registry))
    lock = cascades[0].with_suffix(".lock")
    lock.write_text(make_lock(cascades[0], registry).text(), encoding="utf-8")
    yield from turns("load it", cascades[0], lock, None)


def turns(label: str, tree: Path, lock: Path, registry: Path | None, rounds: int = 5) -> Iterator[Figure]:
    """Loading from the working tree and by lock, in turns; CPU, for machines with other work."""
    times = [(spent(lambda: Engine.load(tree))[1], spent(lambda: Engine.load(lock, registry=registry))[1]) for _ in range(rounds)]
    yield f"{label} from the working tree, CPU", min(seconds for seconds, _ in times), "s"
    yield f"{label} by lock, CPU", min(seconds for _, seconds in times), "s"


def shipped(folder: Path) -> Iterator[Figure]:
    """The pack against money laundering, and the cascade over labelled transfers with its model."""
    for name, home, cascade in (("the pack", ROOT, "monitoring"), ("examples/aml", TRIAGE, "triage")):
        place = folder / home.name
        for part in ("rulesets", "cascades", "models"):
            shutil.copytree(home / part, place / part)
        registry = Registry(place / "registry")
        yield from both(f"publish {name}", partial(publish, Workspace(place), registry, None), 1)
        yield from both(f"publish {name}, nothing changed", partial(publish, Workspace(place), registry, None))
        path = place / f"cascades/{cascade}.yaml"
        lock = path.with_suffix(".lock")
        lock.write_text(make_lock(path, registry).text(), encoding="utf-8")
        yield from turns(f"load {name}", path, lock, None)


def listed(folder: Path) -> Iterator[Figure]:
    """A registry of 10,000 versions: listed in process and as a command, and one more version published."""
    registry = Registry(folder)
    registry.publish([_plain(f"area/set_{n}", f"1.{m}.0") for n in range(500) for m in range(20)])
    yield "an index of 10,000 versions", (folder / "index.json").stat().st_size / 1e6, "MB"
    yield from both("list 10,000 versions", registry.all, 5)
    command = [sys.executable, "-m", "engine", "list", "--registry", str(folder)]
    yield "`engine list` of them, with its start", *spent(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))[:1], "s"
    before = os.times().children_user + os.times().children_system
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield "the same, CPU", os.times().children_user + os.times().children_system - before, "s"
    yield from both("keep one more", lambda: registry.publish([_plain("area/set_0", "2.0.0")]), 1)


def _plain(name: str, version: str) -> Packed:
    files = {f"rulesets/{name}.rules": f"{name} {version}".encode()}
    return Packed(Component("ruleset", name, version, content_hash(files.items())), files, ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=int, default=20, help="of each of the 500 components")
    args = parser.parse_args()
    for part in (partial(grown, versions=args.versions), shipped, listed):
        with tempfile.TemporaryDirectory() as folder:
            for label, figure, unit in part(Path(folder).resolve()):
                print(f"{label:55} {figure:10,.3f} {unit}", flush=True)


if __name__ == "__main__":
    main()
