"""What a number promises beside the last one: below 1.0.0, before a release, in an older line, after a yanked one, and said twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.main import main
from engine.errors import RegistryError
from engine.registry.published import Registry
from tests.registry.test_published import RULE, cash, published, shop  # noqa: F401

pytestmark = pytest.mark.usefixtures("shop")
COMMENT = "# a comment\n"


def released(folder: Path, version: str, **change: object) -> str:
    """What is said of the next version of the rule set."""
    cash(folder, version=version, **change)  # type: ignore[arg-type]
    return published(folder, "shop/cash")[0].removeprefix(f"shop/cash@{version}: ")


def refused(folder: Path, version: str, **change: object) -> str:
    cash(folder, version=version, **change)  # type: ignore[arg-type]
    with pytest.raises(RegistryError) as error:
        published(folder, "shop/cash")
    return str(error.value)


def test_below_one_the_second_number_promises_what_the_first_does_later(tmp_path: Path) -> None:
    cash(tmp_path, version="0.3.0")
    published(tmp_path, "shop/sale", "shop/cash")
    assert refused(tmp_path, "0.3.1", limit=600).endswith("call it 0.4.0, or say why")
    assert released(tmp_path, "0.3.1", more=RULE).startswith("after 0.3.0, a minor change")
    assert released(tmp_path, "0.4.0", limit=600).startswith("after 0.3.1, a major change")
    assert released(tmp_path, "1.0.0", limit=700).startswith("after 0.4.0, a major change")


def test_an_older_line_can_be_mended(tmp_path: Path) -> None:
    published(tmp_path)
    released(tmp_path, "1.1.0", more=RULE)
    released(tmp_path, "2.0.0", limit=600)
    assert released(tmp_path, "1.0.1", more=COMMENT) == "after 1.0.0, a patch change"
    assert released(tmp_path, "1.1.1", more=RULE + COMMENT) == "after 1.1.0, a patch change"
    assert "after 1.1.1 it is a major change" in refused(tmp_path, "1.1.2", more=RULE, limit=600)
    assert released(tmp_path, "0.9.0", limit=100) == "its first version"


def test_what_comes_before_a_release_promises_nothing(tmp_path: Path) -> None:
    published(tmp_path)
    assert released(tmp_path, "2.0.0-rc.1", limit=600).startswith("after 1.0.0, a major change")
    assert released(tmp_path, "2.0.0-rc.2", limit=700).startswith("after 1.0.0, a major change")
    assert released(tmp_path, "2.0.0", limit=800).startswith("after 1.0.0, a major change")
    assert refused(tmp_path, "2.0.1-rc.1", limit=900).endswith("call it 3.0.0-rc.1, or say why")


def test_what_was_yanked_is_mended_by_a_patch(tmp_path: Path) -> None:
    published(tmp_path)
    released(tmp_path, "2.0.0", limit=6000)
    Registry(tmp_path / "registry").yank("shop/cash", "2.0.0", "wrong by ten")
    assert released(tmp_path, "2.0.1", limit=600).startswith("after 1.0.0, a major change")


def test_the_same_again_is_said_to_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(tmp_path)
    index = (tmp_path / "registry/index.json").read_bytes()
    assert main(["publish", "shop/cash"]) == 0
    assert capsys.readouterr().out == "all of it is published already\n"
    assert (tmp_path / "registry/index.json").read_bytes() == index


def test_the_same_number_for_something_else_is_refused_with_what_differs(tmp_path: Path) -> None:
    published(tmp_path)
    said = refused(tmp_path, "1.0.0", limit=600)
    assert said.count("sha256:") == 2 and "`rulesets/shop/cash.rules` differs" in said
    assert "a major change: the rule `CASH-01` means something else" in said
    assert "a patch change" in refused(tmp_path, "1.0.0", more=COMMENT)
