"""``engine test``: the tests that stand beside rules."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final

from engine.cascade.components import Components
from engine.cli.say import FINE, PROBLEMS, as_json, out, plural
from engine.testkit.runner import STATES, TRIES, Tested, run_tests
from engine.testkit.search import Searched
from engine.testkit.sources import Checked, find, leading

SUMMARY: Final = "run the tests that stand beside rules"
FINDS: Final = "a test that fails, or a file that does not check"
TEACHES: Final = """\
Run every `test`, `story` and `examples` of the rule sets at the paths. What fails is shown with its place, what was expected, what
came out and why. A note names rules that no test expects to be hit, clear or undecided.

For every invariant (`never ...`, `more ... never lowers ...`) events are looked for that break it, around the values that the rules
themselves name; the same ones every time. One that is broken fails, with the smallest such event as a test to paste into the file.

examples:
  engine test                                 all rule sets below this folder
  engine test rulesets/aml/cash.rules         those of one file
  engine test --tries 100000                  look long for events that break an invariant"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; this folder if none is named")
    what = f"how many events to try for each invariant; {TRIES:,} unless this says otherwise, 0 for none"
    parser.add_argument("--tries", metavar="NUMBER", type=int, default=TRIES, help=what)


def run(args: Namespace) -> int:
    checked, tested = Checked(), list[Tested]()
    shared: dict[Path, Components] = {}
    for found in find(args.paths):
        if found.path.suffix == ".rules":
            components = shared.setdefault(found.workspace.folder, Components(found.workspace))
            one = run_tests(components, found, args.tries)
            tested += [one] if one is not None else []
    for folder, components in shared.items():
        checked.take(components, leading(folder))
    failed = sum(len(one.failures) for one in tested)
    if args.json:
        rulesets, diagnostics = [one.to_dict() for one in tested], [one.to_dict() for one in checked.diagnostics]
        as_json({"failed": failed, "rulesets": rulesets, "diagnostics": diagnostics})
    else:
        _print(checked, tested, failed)
    return PROBLEMS if failed or checked.failed else FINE


def _print(checked: Checked, tested: list[Tested], failed: int) -> None:
    if checked.failed:
        out(checked.rendered() + "\n")
    for one in tested:
        for _, same in groupby(one.failures, key=lambda failure: (failure.title, failure.why)):
            *before, last = same
            # what the engine made of a row is said once, however much was expected of it
            for failure in before:
                out(str(replace(failure, why=())))
            out(f"{last}\n")
    for one in tested:
        met = f"{len(one.failures)} failed" if one.failures else "all met" if one.expectations else "no tests"
        out(f"{one.name}: {plural(one.cases, 'case')}, {plural(one.expectations, 'expectation')}, {met}")
        for rule, states in one.untested.items():
            out(f"  note: no test expects {rule} {' or '.join(states)}")
        _print_searched(one)
    cases, expectations = sum(one.cases for one in tested), sum(one.expectations for one in tested)
    invariants = sum(len(one.searched) for one in tested)
    summary = f"{plural(len(tested), 'rule set')}, {plural(cases, 'case')}, {plural(expectations, 'expectation')}"
    summary += f", {plural(invariants, 'invariant')}" if invariants else ""
    out(f"{summary}: {plural(failed, 'failure') if failed else 'all met'}")


def _counted(found: Searched) -> str:
    if found.invariant.of is not None:
        return f"{plural(found.met, 'pair')} of events"
    return plural(found.tries, "event") + (f", {found.met:,} of which it speaks of" if found.met < found.tries else "")


def _print_searched(one: Tested) -> None:
    """How far the search for events that break invariants got."""
    for found in one.searched:
        text = found.invariant.text
        if found.broken:
            out(f"  broken: {text}")
        elif not found.tested:
            never = " and ".join(f"`{part}`" for part in found.idle) or "what it speaks of"
            out(f"  note: not tested: {text}: in {plural(found.tries, 'event')} {never} never held")
        else:
            out(f"  held: {text} ({_counted(found)})")
    if one.searched:
        counts = {state: sum(state in states for states in one.seen.values()) for state in STATES}
        tries = plural(sum(found.tries for found in one.searched), "event")
        said = ", ".join(f"{count} {state}" for state, count in counts.items())
        out(f"  tried {tries}; of {plural(len(one.seen), 'rule')} were seen {said}")
