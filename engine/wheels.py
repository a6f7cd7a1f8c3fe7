"""The wheels with which a lock is run on a machine without a network, as pip gets or builds them: the engine, what it depends on, and the
libraries that the lock names. It knows requirements and files; what a wheel is, and where it comes from, pip knows.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from engine.diagnostics import suggest
from engine.errors import RegistryError
from engine.registry.lock import Lock
from engine.screening.names import LIBRARIES
from engine.version import VERSION

REQUIREMENTS: Final = "requirements.txt"
"""The file beside the wheels that names each with its hash, for ``pip install --require-hashes``."""
OWN: Final = "kaskade"
_SAID: Final = 5


def collect(lock: Lock, folder: Path, extras: Iterable[str] = ()) -> list[Path]:
    """Put the wheels for this kind of machine and this Python into an empty folder, with the file that names them; gives all of them.

    Libraries have the versions that the lock names, all others those that are installed here. `extras` are those of the engine that are
    wanted besides what the lock needs. Raises `RegistryError` with pip's own words where it cannot get a wheel.
    """
    wanted = {"sign", *extras} | ({"screening"} if set(LIBRARIES) & set(lock.libraries) else set())
    _check_extras(wanted)
    libraries = {_distribution(name): version for name, version in lock.libraries.items()}
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in _installed(set(libraries))), encoding="utf-8")
    named = f"{OWN}[{','.join(sorted(wanted))}]"
    own = f"{named} @ {_built(_source(), folder).as_uri()}" if _source() is not None else f"{named}=={VERSION}"
    pinned = [f"{name}=={version}" for name, version in sorted(libraries.items())]
    try:
        _pip("wheel", "--wheel-dir", str(folder), "--constraint", str(constraints), own, *pinned)
    finally:
        constraints.unlink()
    wheels = sorted(folder.glob("*.whl"))
    listed = folder / REQUIREMENTS
    listed.write_text("".join(f"{line}\n" for line in map(_required, wheels)), encoding="utf-8")
    return [*wheels, listed]


def _check_extras(wanted: Iterable[str]) -> None:
    try:
        there = importlib.metadata.metadata(OWN).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        raise RegistryError(f"`{OWN}` runs here without being installed, so that nobody knows what it needs: `pip install` it") from None
    lost = sorted(set(wanted) - set(there))
    if lost:
        raise RegistryError(f"the engine has no extra `{lost[0]}`; {suggest(lost[0], there) or 'it has ' + ', '.join(there)}")


def _source() -> Path | None:
    """The checkout that this engine is run from, if it is."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() else None


def _built(source: Path | None, folder: Path) -> Path:
    """The engine's own wheel, built from its checkout; with what is installed where that can be, so that nothing is asked of a network."""
    alone = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    _pip("wheel", "--no-deps", *alone, "--wheel-dir", str(folder), str(source))
    return next(folder.glob(f"{OWN}-*.whl"))


def _installed(but: set[str]) -> Iterator[str]:
    """What is installed here, as constraints."""
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        if name and _normal(name) not in {OWN, *but}:
            yield f"{name}=={one.version}"


def _distribution(library: str) -> str:
    """The distribution that a library of a lock is installed from: several may hold one library."""
    try:
        importlib.metadata.distribution(library)
    except importlib.metadata.PackageNotFoundError:
        return _normal(importlib.metadata.packages_distributions().get(library, [library])[0])
    return _normal(library)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(wheel: Path) -> str:
    name, version, *_ = wheel.name.split("-")
    with wheel.open("rb") as file:
        return f"{_normal(name)}=={version} --hash=sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _pip(*args: str) -> None:
    command: Sequence[str] = (sys.executable, "-m", "pip", *args, "--disable-pip-version-check", "--no-input", "--quiet")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "SOURCE_DATE_EPOCH": "315532800"})
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        raise RegistryError("wheels are got by pip, which is not installed here: `python -m ensurepip` installs it")
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    said = [line for line in errors if not line.startswith("ResolutionImpossible")]  # which only says where to read on
    raise RegistryError("pip cannot get the wheels: " + "; ".join(said[:_SAID] or done.stderr.splitlines()[-1:] or ["it says nothing"]))
