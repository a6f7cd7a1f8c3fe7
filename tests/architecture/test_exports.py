"""The public names, and what it costs to have them."""

from __future__ import annotations

import json
import subprocess
import sys

import engine

HEAVY = ["polars", "numpy", "pandas", "pyarrow", "sklearn", "skops", "lightgbm", "xgboost", "altair", "networkx", "jsonschema"]
HEAVY += ["rapidfuzz", "anyascii", "oras", "requests"]


def test_the_public_names_are_few_and_sorted():
    assert len(engine.__all__) <= 15
    assert engine.__all__ == sorted(engine.__all__, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))
    assert dir(engine) == sorted(engine.__all__)


def test_every_public_name_is_there_and_documented():
    for name in engine.__all__:
        value = getattr(engine, name)
        assert isinstance(value, str) or value is engine.MISSING or value.__doc__, name
    assert callable(engine.replay) and callable(engine.check) and callable(engine.format)


def test_a_name_that_is_not_there():
    try:
        engine.nothing  # noqa: B018  the access is the test
    except AttributeError as error:
        assert "`nothing`" in str(error)
    else:
        raise AssertionError("a name that is not there was found")


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_importing_the_engine_takes_no_time():
    code = "import time; start = time.perf_counter(); import engine; print(time.perf_counter() - start)"
    assert min(run(code) for _ in range(3)) < 0.150


def test_importing_and_loading_the_facade_loads_no_heavy_library():
    code = f"import json, sys; from engine import Engine; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    assert run(code) == []


def test_deciding_one_event_loads_no_frames():
    """A service that decides single events by rules needs neither polars nor any model library."""
    code = f"""
import json, sys
from engine import Engine
engine = Engine.load("engine/cli/templates/cascades/screening.yaml")
with engine.open_store() as store:
    engine.decide({{"id": "1", "paid_at": "2026-01-01T00:00:00"}}, store=store).to_json()
print(json.dumps([name for name in {[name for name in HEAVY if name not in ("networkx", "jsonschema")]} if name in sys.modules]))
"""
    assert run(code) == []


def test_versions_agree():
    import importlib.metadata

    assert engine.__version__ == importlib.metadata.version("kaskade")
    assert engine.LANGUAGE_VERSION == "0.1"
