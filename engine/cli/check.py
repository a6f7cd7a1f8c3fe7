"""``engine check``: every problem of rule files and cascades."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Final

from engine.cli.say import FINE, PROBLEMS, as_json, counted, out, plural
from engine.testkit.sources import check_all, find

NAME: Final = "check"
SUMMARY: Final = "find every problem in rule files and cascades"
FINDS: Final = "errors; warnings alone are no problem"
TEACHES: Final = """\
Read rule files and cascades with everything they refer to, and list all problems at once: place, what is wrong, what to do.
Nothing is run. A model package named by a cascade is opened and its golden rows are scored.

examples:
  engine check                             everything below this folder
  engine check rulesets/aml/cash.rules     one file, with what it uses"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; this folder if none is named")


def run(args: Namespace) -> int:
    checked = check_all(find(args.paths))
    if args.json:
        as_json({"files": checked.files, "diagnostics": [one.to_dict() for one in checked.diagnostics]})
    else:
        if checked.diagnostics:
            out(checked.rendered() + "\n")
        out(f"{plural(checked.files, 'file')}: {counted(checked.diagnostics)}")
    return PROBLEMS if checked.failed else FINE
