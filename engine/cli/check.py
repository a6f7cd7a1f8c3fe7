"""``engine check``: every problem of rule files and cascades."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Final

from engine.arrived import clock
from engine.cli.progress import Progress
from engine.cli.say import FINE, PROBLEMS, as_json, counted, out, plural
from engine.testkit.many import check_many
from engine.testkit.sources import find
from engine.values import DAY, date_of

SUMMARY: Final = "find every problem in rule files and cascades"
FINDS: Final = "errors; warnings alone are no problem"
TEACHES: Final = """\
Read rule files and cascades with everything they refer to, and list all problems at once: place, what is wrong, what to do.
Nothing is run. A model package named by a cascade is opened and its golden rows are scored.

examples:
  engine check                             everything below this folder
  engine check rulesets/aml/cash.rules     one file, with what it uses
  engine check --on 2027-01-01             which exceptions will have ended by then"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; this folder if none is named")
    parser.add_argument("--jobs", metavar="N", type=int, help="check many files in so many processes; by default one a processor")
    parser.add_argument("--on", metavar="DATE", type=iso_day, help="the day on which exceptions are asked whether they have ended; today")


def iso_day(text: str) -> dt.date:
    """A day as it is given: 2027-01-01."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"`{text}` is no day; write it like 2027-01-01") from None


def run(args: Namespace) -> int:
    day = date_of(clock() // DAY) if args.on is None else args.on
    with Progress() as progress:
        checked = check_many(find(args.paths), progress.checked, day, args.jobs)
    if args.json:
        as_json({"files": checked.files, "on": day.isoformat(), "diagnostics": [one.to_dict() for one in checked.diagnostics]})
    else:
        if checked.diagnostics:
            out(checked.rendered() + "\n")
        out(f"{plural(checked.files, 'file')}: {counted(checked.diagnostics)}")
    return PROBLEMS if checked.failed else FINE
