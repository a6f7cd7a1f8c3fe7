"""``engine fmt``: the one look of rule text."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, PROBLEMS, as_json, out, plural
from engine.errors import SourceError
from engine.lang.parse import read_text
from engine.testkit.sources import find, formatted, leading

NAME: Final = "fmt"
SUMMARY: Final = "give rule files their one look"
FINDS: Final = "a file that does not read; with --check also one that would change"
TEACHES: Final = """\
Write rule files anew in the one look of the language. Nothing changes in what they say, and comments stay.

examples:
  engine fmt                             write everything below this folder
  engine fmt rulesets/aml/cash.rules     write one file
  engine fmt --check                     only name the files that would change"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; this folder if none is named")
    parser.add_argument("--check", action="store_true", help="write nothing; name the files that would change")


def run(args: Namespace) -> int:
    changed, faulty, count = [], list[SourceError](), 0
    for found in find(args.paths):
        if found.path.suffix != ".rules":
            continue
        count += 1
        label = leading(found.workspace.folder) + found.workspace.label(found.path)
        try:
            if _write(found.path, label, dry=args.check):
                changed.append(label)
        except SourceError as error:
            faulty.append(error)
    if args.json:
        as_json({"files": count, "changed": changed, "diagnostics": [d.to_dict() for one in faulty for d in one.diagnostics]})
    else:
        for one in faulty:
            out(str(one))
        for label in changed:
            out(f"{'would change' if args.check else 'changed'} {label}")
        out(f"{plural(count, 'file')}: {len(changed)} {'would change' if args.check else 'changed'}")
    return PROBLEMS if faulty or (args.check and changed) else FINE


def _write(path: Path, label: str, *, dry: bool) -> bool:
    """Whether the file changes; it is replaced whole or not at all."""
    text, problems = read_text(path, label)
    if text is None:
        raise SourceError(problems, "\n".join(f"{one.span}: {one.severity}[{one.code}]: {one.message}" for one in problems))
    new = formatted(text, label)
    if new.encode() == path.read_bytes():
        return False
    if not dry:
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(new, encoding="utf-8", newline="\n")
        beside.replace(path)
    return True
