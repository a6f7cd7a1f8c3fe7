"""``engine test``: the tests that stand beside rules."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final

from engine.cascade.components import Components
from engine.cli.say import FINE, PROBLEMS, as_json, out, plural
from engine.testkit.runner import Tested, run_tests
from engine.testkit.sources import Checked, find, leading

NAME: Final = "test"
SUMMARY: Final = "run the tests that stand beside rules"
FINDS: Final = "a test that fails, or a file that does not check"
TEACHES: Final = """\
Run every `test`, `story` and `examples` of the rule sets at the paths. What fails is shown with its place, what was expected, what
came out and why. A note names rules that no test expects to be hit, clear or undecided.

examples:
  engine test                                 all rule sets below this folder
  engine test rulesets/aml/cash.rules         those of one file"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; this folder if none is named")


def run(args: Namespace) -> int:
    checked, tested = Checked(), list[Tested]()
    shared: dict[Path, Components] = {}
    for found in find(args.paths):
        if found.path.suffix == ".rules":
            components = shared.setdefault(found.workspace.folder, Components(found.workspace))
            one = run_tests(components, found)
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
    cases, expectations = sum(one.cases for one in tested), sum(one.expectations for one in tested)
    summary = f"{plural(len(tested), 'rule set')}, {plural(cases, 'case')}, {plural(expectations, 'expectation')}"
    out(f"{summary}: {plural(failed, 'failure') if failed else 'all met'}")
