"""The wheel and the sdist carry what is needed, and the wheel works where the checkout is not."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist, built from the checkout without asking the network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A new environment with the wheel alone; its dependencies are those of this environment, without the checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    python = folder / "venv/bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", built[0]]
    subprocess.run(pip, check=True, capture_output=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    # a `.pth` file here adds only the folder; `.pth` files inside that folder, which would lead back to the checkout, are not read
    (packages / "borrowed.pth").write_text(site.getsitepackages()[0] + "\n")
    return folder


def call(folder, *args, stdin=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [folder / "venv/bin/engine", *args]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, check=False, env=environment)


def test_the_wheel_carries_grammar_templates_and_licence(built):
    names = set(zipfile.ZipFile(built[0]).namelist())
    wanted = ["grammar/rules.lark", "grammar/keywords/en", "cli/templates/cascades/screening.yaml", "monitor/report.html.j2", "py.typed"]
    schemas = [f"grammar/{name}.schema.json" for name in ("cascade", "model", "decision")]
    assert {f"engine/{name}" for name in (*wanted, *schemas)} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "examples/")) or "__pycache__" in name]


def test_the_sdist_carries_what_builds_and_tests_it(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "grammar/rules.lark",
        "engine/version.py",
        "tests/packaging/test_wheel.py",
    } <= names
    assert "examples/purchase_cards/cascades/audit.yaml" in names and "docs/developer.md" in names
    assert not [name for name in names if name.startswith((".venv", "out/"))]


def test_the_installed_engine_is_not_the_checkout(installed):
    code = "import engine, pathlib; print(pathlib.Path(engine.__file__).parent)"
    done = subprocess.run([installed / "venv/bin/python", "-c", code], cwd=installed, capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith(str(installed))


def test_the_installed_engine_decides(installed):
    assert call(installed, "new", "payments").returncode == 0
    assert call(installed, "test", "payments").returncode == 0
    done = call(installed, "decide", "payments/cascades/screening.yaml", "payments/event.json", "--json", "--ledger", "ledger.db")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "review"
    assert call(installed, "replay", "ledger.db").returncode == 0
    frame = ["--input", "payments/events.csv", "--output", "d.parquet", "--rejects", "r.csv", "--json"]
    assert json.loads(call(installed, "run", "payments/cascades/screening.yaml", *frame).stdout)["decided"] == 6


def test_the_installed_engine_explains_what_is_wrong(installed):
    done = call(installed, "check", "nowhere")
    assert done.returncode == 2 and "Traceback" not in done.stderr
