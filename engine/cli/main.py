"""The entry of the command line: finds the command, and turns what goes wrong into a message and an exit code.

A mistake in files, data or arguments never shows a traceback; a fault of the engine itself always does.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from engine.cli.say import FINE, MISUSE, PROBLEMS, Stop, as_json
from engine.diagnostics import suggest
from engine.errors import EngineError, InputError, SourceError
from engine.version import LANGUAGE_VERSION, VERSION

COMMANDS: Final = (
    "new", "check", "fmt", "test", "run", "decide", "explain", "graph", "replay", "stale", "backfill", "features",
    "publish", "list", "show", "uses", "impact", "yank", "push", "pull", "lock", "keygen", "bundle", "verify",
)  # fmt: skip
"""In the order in which someone who starts meets them."""
_FILES: Final = {"list": "versions"}
"""The modules that are not called like their command."""

PROGRAM: Final = "engine"
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


def command(name: str) -> ModuleType:
    """The module of a command, which gives `SUMMARY`, `FINDS`, `TEACHES`, `arguments` and `run`. No other is loaded: a command that looks
    into the registry does not wait for all that decides."""
    return import_module(f"engine.cli.{_FILES.get(name, name)}")


def parser(name: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    module = command(name)
    made = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=module.TEACHES,
        epilog=EXITS.format(module.FINDS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(made)
    made.add_argument("--json", action="store_true", help="print the result as JSON, for other programs")
    made.set_defaults(run=module.run, command=name)
    return made


def index() -> argparse.ArgumentParser:
    """The parser of a line without a command, which lists them all."""
    top = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Decide by rules that read aloud, models and history: one event, or millions.",
        epilog="Start with `engine new payments`, then `engine COMMAND --help` shows how each command is used.",
    )
    top.add_argument("--version", action="version", version=f"kaskade {VERSION}, language {LANGUAGE_VERSION}")
    commands = top.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        commands.add_parser(name, help=command(name).SUMMARY)
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
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        index().print_help(sys.stderr)
        return MISUSE
    if words[0] not in COMMANDS:
        top = index()
        if not words[0].startswith("-"):
            _end_with_hint(top, f"there is no command `{words[0]}`", words[0], COMMANDS)
        top.parse_args(words[:1])  # help, the version, or what is none of these
        return MISUSE
    made = parser(words[0])
    _check_options(made, words)
    # intermixed, so that an option may stand between what a command is about
    args = made.parse_intermixed_args(words[1:])
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


def _check_options(made: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """End with a suggestion where an option is none, but looks much like one."""
    options = [option for action in made._actions for option in action.option_strings]
    given = [word.partition("=")[0] for word in words[1 : words.index("--") if "--" in words else None] if word.startswith("--")]
    for word in given:
        if not any(option.startswith(word) for option in options):  # an option may be cut short
            _end_with_hint(made, f"`{words[0]}` has no option `{word}`", word, options)


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
