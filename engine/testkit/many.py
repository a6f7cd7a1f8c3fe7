"""Checking many files side by side, in several processes; what is found and its order do not depend on how many there are."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Final

from engine.cascade.components import Components
from engine.diagnostics import Diagnostic, in_order
from engine.testkit.sources import CASCADE, Checked, Found, check_all, check_rules, leading, moved

FEW: Final = 24
"""So many rule files are checked sooner than further processes have started."""

_PART: Final = 8
"""Files that a process is given at a time."""

_MOST: Final = 8

Said = Callable[[int, int], None]
"""Is told how many files of how many have been checked."""


def check_many(found: Sequence[Found], said: Said, day: date | None = None, jobs: int | None = None) -> Checked:
    """As `check_all`, with at most `jobs` processes, by default one a processor; `said` hears how far it has come."""
    jobs = min(jobs or len(_processors()), _MOST)
    rules = [one for one in found if one.path.suffix not in CASCADE]
    if jobs < 2 or len(rules) <= FEW:
        return _in_turn(found, said, day)
    checked = check_all([one for one in found if one.path.suffix in CASCADE])
    done = checked.files
    diagnostics = list(checked.diagnostics)
    parts = [rules[at : at + _PART] for at in range(0, len(rules), _PART)]
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _begin)
    try:
        waiting = {pool.submit(_check, part, day): len(part) for part in parts}
        for future in as_completed(waiting):
            problems, texts = future.result()
            diagnostics += problems
            checked.texts |= texts
            done += waiting[future]
            said(done, len(found))
    finally:
        pool.shutdown(cancel_futures=True)
    checked.files, checked.diagnostics = len(found), in_order(diagnostics)
    return checked


def _in_turn(found: Sequence[Found], said: Said, day: date | None) -> Checked:
    def each(done: int) -> Found:
        said(done, len(found))
        return found[done]

    return check_all((each(done) for done in range(len(found))), day)


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


_SHARED: dict[Path, Components] = {}
"""In a process that checks: the components of each workspace, so that what many files use is read once."""


def _begin() -> None:
    # Ctrl-C is for the process that waits for this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # trees and programs are kept until the end, so there is little to look for among them
    gc.set_threshold(100_000, 50, 100)


def _check(part: Sequence[Found], day: date | None) -> tuple[list[Diagnostic], dict[str, str]]:
    """The problems of some files that no part before them met in this process, and the texts they point into."""
    problems: list[Diagnostic] = []
    texts: dict[str, str] = {}
    for one in part:
        folder = one.workspace.folder
        components = _SHARED.setdefault(folder, Components(one.workspace))
        before, prefix = len(components.diagnostics), leading(folder)
        check_rules(components, one, day)
        new = components.diagnostics[before:]
        problems += [moved(problem, prefix) for problem in new]
        files = {span.file for problem in new for span in (problem.span, *(place for _, place in problem.related))}
        texts |= {prefix + file: components.texts[file] for file in files if file in components.texts}
    return problems, texts
