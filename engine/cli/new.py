"""``engine new``: a small workspace that runs."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Final

from engine.cli.say import FINE, Stop, as_json, out

SUMMARY: Final = "start a small workspace that runs"
FINDS: Final = "does not occur"
TEACHES: Final = """\
Make a folder with a record, features over history, rules with their tests, a cascade and sample events, to start from.
Nothing is overwritten: the folder must not be there yet, or be empty.

examples:
  engine new payments            make the folder `payments`
  cd payments && engine test     run the tests that stand beside its rules"""

TEMPLATES: Final = Path(__file__).parent / "templates"


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder to make")


def run(args: Namespace) -> int:
    folder = Path(args.folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise Stop(f"`{folder}` is there already and is not an empty folder")
    shutil.copytree(TEMPLATES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if args.json:
        as_json({"folder": str(folder), "files": files})
        return FINE
    out(f"made {folder}: " + ", ".join(files))
    out("\n".join(["", "next:", f"  cd {folder}", "  engine test", "  engine decide cascades/screening.yaml event.json"]))
    return FINE
