"""Libraries that a lock names, where others are installed: of models the golden rows decide, of names nothing would tell."""

from __future__ import annotations

import importlib.metadata
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import Engine, package_model
from engine.cli.main import main
from engine.errors import RegistryError, SourceError
from engine.models.lightgbm import Booster
from engine.registry.lock import Lock
from tests.registry.test_published import CASCADE, SALE, locked, published, shop, write

__all__ = ["shop"]

MODELLED = CASCADE.replace("steps:", "steps:\n  risk: {model: shop/risk@1.0.0, with: {amount: amount}, on_missing: {probability: 0.5}}")


def said(lock: Path, **libraries: str) -> Path:
    """The same lock, made where other versions were installed."""
    lock.write_text(replace(Lock.read(lock), libraries=libraries).text(), encoding="utf-8")
    return lock


@pytest.fixture
def modelled(shop: Path) -> Path:
    """A lock of a cascade with a model."""
    import lightgbm
    import polars

    amounts = np.arange(200.0).reshape(-1, 1)
    data = lightgbm.Dataset(amounts, (amounts[:, 0] > 90).astype(int), feature_name=["amount"], params={"verbose": -1})
    booster = lightgbm.train({"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1}, data, 3)
    sample = polars.DataFrame({"amount": amounts[:, 0]})
    package_model(booster, name="shop/risk", version="1.0.0", sample=sample, inputs={"amount": "money EUR"}, folder=shop)
    write(shop, "cascades/screening.yaml", MODELLED)
    published(shop)
    return locked(shop)


def test_a_lock_names_the_libraries_of_its_models(modelled: Path) -> None:
    assert Lock.read(modelled).libraries == {name: importlib.metadata.version(name) for name in ("lightgbm", "numpy")}
    assert Engine.load(modelled).diagnostics == ()


def test_another_version_is_worth_a_word_where_golden_rows_come_out_the_same(
    modelled: Path, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, here = Engine.load(modelled).decide(SALE), importlib.metadata.version("lightgbm")
    other = Engine.load(said(modelled, **dict(Lock.read(modelled).libraries) | {"lightgbm": "3.3.5"}))
    (warning,) = other.diagnostics
    assert (warning.code, warning.severity) == ("library-version", "warning")
    assert warning.message == f"`shop/screening` was locked with lightgbm 3.3.5, installed is {here}"
    assert other.decide(SALE).outcome == wanted.outcome and other.decide(SALE).values == wanted.values
    write(shop, "event.json", json.dumps(SALE))
    capsys.readouterr()
    assert main(["decide", str(modelled), "event.json"]) == 0
    told = capsys.readouterr().err
    assert f"warning: {warning.message}; " in told and "`pip install lightgbm==3.3.5` gives what was locked" in told


def test_a_model_that_answers_otherwise_is_refused(modelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it would under a library that scores otherwise: whatever versions are named, the golden rows say so."""
    score = Booster.one
    monkeypatch.setattr(Booster, "one", lambda self, values: [math.nextafter(one, 1.0) for one in score(self, values)])
    with pytest.raises(SourceError, match=r"`shop/risk 1.0.0` must not be used: golden row 1 gives .* recorded with python .* lightgbm"):
        Engine.load(modelled)


def test_nothing_would_tell_that_names_are_written_otherwise(shop: Path) -> None:
    published(shop)
    lock = said(locked(shop), anyascii="0.0.1")
    here = importlib.metadata.version("anyascii")
    with pytest.raises(RegistryError, match=rf"was made with anyascii 0.0.1, installed is {here}: names may be written otherwise"):
        Engine.load(lock)


@pytest.mark.parametrize(("said_of", "version"), [("engine", "9.0.0"), ("language", "9.0")])
def test_what_a_newer_engine_locked_is_refused(shop: Path, said_of: str, version: str) -> None:
    published(shop)
    lock = locked(shop)
    lock.write_text(replace(Lock.read(lock), **{said_of: version}).text(), encoding="utf-8")  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match=rf"`{lock}` was made by engine .*9.0.*; this is engine .* may not know all that stands in it"):
        Engine.load(lock)


def test_what_an_older_engine_locked_is_loaded(shop: Path) -> None:
    published(shop)
    lock = locked(shop)
    lock.write_text(replace(Lock.read(lock), engine="0.0.1", language="0.0").text(), encoding="utf-8")
    assert Engine.load(lock).decide(SALE).outcome == "review"
