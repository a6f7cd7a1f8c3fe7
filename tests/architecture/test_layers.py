"""Who may import whom: the layers, and the one place of every library."""

from __future__ import annotations

import graphlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.source import ENGINE, MODULES, ROOT, imports, label

HOMES = {
    "lark": {"engine/lang/parse.py"},
    "yaml": {"engine/cascade/parse.py", "engine/models/manifest.py"},
    "networkx": {"engine/cascade/graph.py"},
    "re2": {"engine/lang/builtins.py"},
    "lightgbm": {"engine/models/lightgbm.py"},
    "xgboost": {"engine/models/xgboost.py"},
    "sklearn": {"engine/models/sklearn.py"},
    "skops": {"engine/models/sklearn.py"},
    "altair": {"engine/monitor"},
    "sqlite3": {"engine/features/sqlite.py", "engine/ledger/log.py"},
    "redis": {"engine/features/redis.py"},
    "psycopg": {"engine/features/postgres.py"},
    "numba": {"engine/features/kernels.py", "engine/backends/bit_loops.py"},
    "anyascii": {"engine/screening/spelling.py"},
    "rapidfuzz": {"engine/screening/likeness.py"},
    "cryptography": {"engine/registry/bundle.py"},
    "filelock": {"engine/registry/oci.py"},
    "oras": {"engine/registry/client.py", "engine/registry/server.py"},
    "requests": {"engine/registry/client.py"},
    "resolvelib": {"engine/registry/resolve.py"},
    "argparse": {"engine/cli"},
}
"""Libraries with a home: nothing else imports them, not even inside a function."""

HEAVY = {
    "polars",
    "numpy",
    "pandas",
    "pyarrow",
    "sklearn",
    "skops",
    "lightgbm",
    "xgboost",
    "altair",
    "vl_convert",
    "jinja2",
    "networkx",
    "jsonschema",
    "fastexcel",
    "msgspec",
    "openpyxl",
    "redis",
    "psycopg",
    "numba",
    "cryptography",
    "anyascii",
    "rapidfuzz",
}
"""What may be imported inside a function, because importing it takes long and only some uses need it."""

LOADS_HEAVY = ("columnar", "run", "charts", "report", "summary", "engine.models", "engine.registry.server")
"""Parts of the names of our own modules that load heavy libraries, and so may be imported inside a function too."""


def test_the_layers_hold():
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())",
        "--no-cache",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("library", HOMES)
def test_a_library_stays_in_its_home(library):
    users = {label(path) for path in MODULES for name, _, typing in imports(path) if name.partition(".")[0] == library and not typing}
    assert users <= {user for user in users if any(user == home or user.startswith(home + "/") for home in HOMES[library])}
    assert users, "the home stands empty"


def test_polars_is_imported_by_columnar_files_and_runs_alone():
    for path in MODULES:
        at_top = {name for name, inside, typing in imports(path) if name.partition(".")[0] == "polars" and not inside and not typing}
        assert not at_top or "columnar" in path.name or path.parent.name == "run", label(path)


def test_only_heavy_libraries_are_imported_inside_functions():
    """A cycle cannot be hidden there."""
    for path in MODULES:
        for name, inside, typing in imports(path):
            if inside and not typing:
                heavy = name.partition(".")[0] in HEAVY or (name.startswith("engine.") and any(part in name for part in LOADS_HEAVY))
                assert heavy, f"{label(path)} imports {name} inside a function"


def test_every_folder_is_in_the_picture():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for path in ENGINE.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"  {path.name}/" in text, f"ARCHITECTURE.md does not show {path.name}/"


def test_no_module_needs_itself_not_even_for_types():
    """What two modules say of each other belongs into a third, or into one of the two."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}
    needs = {name: {_module(read, names) for read, _, _ in imports(path)} & set(names) - {name} for name, path in names.items()}
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as circle:
        raise AssertionError(" <- ".join(circle.args[1])) from None


def _module(read: str, names: Mapping[str, Path]) -> str:
    """The module an import names, itself or by something in it."""
    return read if read in names else read.rpartition(".")[0]
