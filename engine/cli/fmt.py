"""``engine fmt``: the one look of rule text, in any language of its keywords, and the mending of slips of the pen."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, PROBLEMS, as_json, out, plural
from engine.diagnostics import Diagnostic, Fix, errors, render
from engine.errors import SourceError
from engine.lang.mends import mend
from engine.lang.parse import parse, read_text
from engine.lang.words import LANGUAGES
from engine.testkit.sources import find, formatted, leading

SUMMARY: Final = "give rule files their one look"
FINDS: Final = "a file that does not read; with --check also one that would change"
TEACHES: Final = """\
Write rule files anew in the one look of the language. Nothing changes in what they say, and comments stay.

--to puts the keywords of files into another language; names, texts and comments stay as they are.
--fix mends slips whose meaning cannot be in doubt, such as `==` for `=`, and says what it changed. A file with other
mistakes in it is left as it was.

examples:
  engine fmt                             write everything below this folder
  engine fmt rulesets/aml/cash.rules     write one file
  engine fmt --check                     only name the files that would change
  engine fmt --to da rulesets/aml        put the keywords into Danish
  engine fmt --fix rulesets/aml          mend safe slips as well"""


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; this folder if none is named")
    parser.add_argument("--check", action="store_true", help="write nothing; name the files that would change")
    parser.add_argument("--to", metavar="LANGUAGE", choices=LANGUAGES, help=f"put keywords into this language: {', '.join(LANGUAGES)}")
    parser.add_argument("--fix", action="store_true", help="mend slips whose meaning cannot be in doubt")


@dataclass(slots=True)
class _Done:
    """What became of all files."""

    count: int = 0
    changed: list[str] = field(default_factory=list)
    fixed: list[tuple[Diagnostic, Fix]] = field(default_factory=list)
    faulty: list[SourceError] = field(default_factory=list)


def run(args: Namespace) -> int:
    done = _Done()
    for found in find(args.paths):
        if found.path.suffix != ".rules":
            continue
        done.count += 1
        label = leading(found.workspace.folder) + found.workspace.label(found.path)
        try:
            _write(found.path, label, args, done)
        except SourceError as error:
            done.faulty.append(error)
    _tell(args, done)
    return PROBLEMS if done.faulty or (args.check and done.changed) else FINE


def _tell(args: Namespace, done: _Done) -> None:
    if args.json:
        fixed = [{"file": one.span.file, **fix.to_dict(), "code": one.code} for one, fix in done.fixed]
        faults = [d.to_dict() for one in done.faulty for d in one.diagnostics]
        mended = {"fixed": fixed} if args.fix else {}
        as_json({"files": done.count, "changed": done.changed, **mended, "diagnostics": faults})
        return
    for error in done.faulty:
        out(str(error))
    would = "would " if args.check else ""
    for one, fix in done.fixed:
        what = f"write `{fix.text.strip()}`" if fix.text.strip() else "leave it out"
        out(f"{'would fix' if args.check else 'fixed'} {fix.span}: {one.message}: {what}")
    for label in done.changed:
        out(f"{would}change{'' if args.check else 'd'} {label}")
    out(f"{plural(done.count, 'file')}: {len(done.changed)} {would}change{'' if args.check else 'd'}")


def _write(path: Path, label: str, args: Namespace, done: _Done) -> None:
    """The file is replaced whole or not at all."""
    text, problems = read_text(path, label)
    if text is None:
        raise SourceError(problems, "\n".join(f"{one.span}: {one.severity}[{one.code}]: {one.message}" for one in problems))
    fixed: list[tuple[Diagnostic, Fix]] = []
    if args.fix:
        text, fixed = _mended(text, label)
    new = formatted(text, label, args.to)
    done.fixed += fixed
    if new.encode() == path.read_bytes():
        return
    done.changed.append(label)
    if not args.check:
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(new, encoding="utf-8", newline="\n")
        beside.replace(path)


def _mended(text: str, label: str) -> tuple[str, list[tuple[Diagnostic, Fix]]]:
    """The text with its safe slips mended. Raises `SourceError` where others are left, so that the file stays as it was."""
    mended = mend(text, label, lambda text, file: parse(text, file)[1])
    if errors(mended.left):
        raise _left_alone(parse(text, label)[1], text, label, mended.done)
    return mended.text, [(one, one.fix) for one in mended.done if one.fix is not None]


def _left_alone(problems: list[Diagnostic], text: str, label: str, safe: Iterable[Diagnostic]) -> SourceError:
    told = render(problems, {label: text})
    count = sum(1 for _ in safe)
    note = f"{label} is left as it was: {plural(count, 'slip')} could be mended, and others need its author" if count else ""
    return SourceError(problems, f"{told}\n{note}" if note else told)
