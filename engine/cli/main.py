"""The entry of the command line: finds the command, and turns what goes wrong into a message and an exit code.

A mistake in files, data or arguments never shows a traceback; a fault of the engine itself always does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from engine.cli import (
    backfill,
    bundle,
    check,
    decide,
    explain,
    features,
    fmt,
    graph,
    impact,
    keygen,
    lock,
    new,
    publish,
    pull,
    push,
    replay,
    run,
    show,
    stale,
    test,
    uses,
    verify,
    versions,
    yank,
)
from engine.cli.say import FINE, MISUSE, PROBLEMS, Stop, as_json
from engine.diagnostics import suggest
from engine.errors import EngineError, InputError, SourceError
from engine.version import LANGUAGE_VERSION, VERSION

COMMANDS: Final[tuple[ModuleType, ...]] = (
    new, check, fmt, test, run, decide, explain, graph, replay, stale, backfill, features,
    publish, versions, show, uses, impact, yank, push, pull, lock, keygen, bundle, verify,
)  # fmt: skip
"""In the order in which someone who starts meets them. A module gives `NAME`, `SUMMARY`, `TEACHES`, `arguments` and `run`."""

EXITS: Final = """\
exit codes:
  0  all is well
  1  problems were found: {}
  2  wrong use, or something that is needed is not there"""
_INTERRUPTED: Final = 130
_EXTRAS: Final = {
    "altair": "report",
    "vl_convert": "report",
    "jinja2": "report",
    "fastexcel": "excel",
    "sklearn": "sklearn",
    "skops": "sklearn",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "pandas": "frames",
    "pyarrow": "frames",
    "cryptography": "sign",
    "oras": "oci",
}


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="engine",
        description="Decide by rules that read aloud, models and history: one event, or millions.",
        epilog="Start with `engine new payments`, then `engine COMMAND --help` shows how each command is used.",
    )
    top.add_argument("--version", action="version", version=f"kaskade {VERSION}, language {LANGUAGE_VERSION}")
    commands = top.add_subparsers(metavar="COMMAND", dest="command")
    for module in COMMANDS:
        one = commands.add_parser(
            module.NAME,
            help=module.SUMMARY,
            description=module.TEACHES,
            epilog=EXITS.format(module.FINDS),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(one)
        one.add_argument("--json", action="store_true", help="print the result as JSON, for other programs")
        one.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    try:
        return _run(argv)
    except KeyboardInterrupt:
        print("engine: stopped", file=sys.stderr)
        return _INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # a terminal that lacks a letter shows its number instead of failing
            stream.reconfigure(errors="backslashreplace")
    top = parser()
    _check_words(top, sys.argv[1:] if argv is None else list(argv))
    args = top.parse_args(argv)
    if args.command is None:
        top.print_help(sys.stderr)
        return MISUSE
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # who read our output has seen enough, like `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except (EngineError, OSError, ModuleNotFoundError) as error:
        return _told(error, json=args.json)
    return code


def _check_words(top: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """End with a suggestion where a command or an option is none, but looks much like one."""
    commands = {module.NAME: module for module in COMMANDS}
    if not argv or argv[0].startswith("-"):
        return
    if argv[0] not in commands:
        _end_with_hint(top, f"there is no command `{argv[0]}`", argv[0], list(commands))
        return
    one = argparse.ArgumentParser(prog=f"{top.prog} {argv[0]}", add_help=False)
    commands[argv[0]].arguments(one)
    options = [option for action in one._actions for option in action.option_strings] + ["--json", "--help"]
    given = [word.partition("=")[0] for word in argv[1 : argv.index("--") if "--" in argv else None] if word.startswith("--")]
    for word in given:
        if not any(option.startswith(word) for option in options):  # an option may be cut short
            _end_with_hint(one, f"`{argv[0]}` has no option `{word}`", word, options)


def _end_with_hint(of: argparse.ArgumentParser, message: str, word: str, there: Sequence[str]) -> None:
    hint = suggest(word, there)
    if hint is not None:
        of.error(f"{message}; {hint}")


def _told(error: Exception, *, json: bool) -> int:
    """Say what went wrong; gives the exit code."""
    if isinstance(error, SourceError):
        if json:
            as_json({"diagnostics": [one.to_dict() for one in error.diagnostics]})
        else:
            print(error, file=sys.stderr)
        return PROBLEMS
    message = _message(error)
    if json:
        as_json({"error": message})
    else:
        print(f"engine: {message}", file=sys.stderr)
    return PROBLEMS if isinstance(error, InputError) and not isinstance(error, Stop) else MISUSE


def _message(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise error
        return f"this needs `{library}`, which is not installed: pip install 'kaskade[{_EXTRAS[library]}]'"
    if isinstance(error, OSError):
        place = f"`{error.filename}`: " if error.filename else ""
        return place + (error.strerror or str(error)).lower()
    return str(error)
