"""Versions carried to a real registry server and back, and between folders: the same bytes, all of a version or nothing, never another."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.cli.main import main
from engine.errors import RegistryError
from engine.registry.carry import carry, opened, reachable, with_needs
from engine.registry.places import place
from engine.registry.published import Packed, Registry
from engine.registry.server import Server
from tests.registry.test_published import SALE, cash, locked, pack, published, shop

__all__ = ["shop"]


def at(where: str | Path) -> Registry | Server:
    return opened(place(where))


def told(there: Registry | Server) -> list[tuple[str, str, str | None]]:
    return [(str(one), one.manifest.digest, one.yanked) for one in there.all()]


def sent(there: Registry | Server, *packed: Packed, folder: Path) -> None:
    source = Registry(folder)
    source.publish(packed)
    carry(source.all(), source, there)


# --- there and back ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["server", "folder"])
def place_(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place to push to, of both kinds."""
    return request.getfixturevalue("remote") if request.param == "server" else f"{tmp_path}/other/registry"


def test_there_and_back_nothing_changes(shop: Path, place_: str, capsys: pytest.CaptureFixture[str]) -> None:
    published(shop)
    lock = locked(shop)
    wanted = Engine.load(lock).decide(SALE).to_json()
    capsys.readouterr()
    assert main(["push", "--all", "--to", place_]) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "record    shop/sale@1.0.0",
        "ruleset   shop/cash@1.0.0",
        "cascade   shop/screening@1.0.0",
        f"3 versions pushed to {place_}",
    ]
    assert told(at(place_)) == told(at(shop / "registry"))
    assert main(["push", "--all", "--to", place_]) == 0
    assert capsys.readouterr().out == f"0 versions pushed to {place_}, 3 there already\n"
    assert main(["pull", "--all", "--from", place_, "--registry", "back"]) == 0
    assert told(at(shop / "back")) == told(at(shop / "registry"))
    assert Engine.load(lock, registry=shop / "back").decide(SALE).to_json() == wanted
    blobs = {path.name: path.read_bytes() for path in (shop / "registry/blobs/sha256").iterdir()}
    assert {path.name: path.read_bytes() for path in (shop / "back/blobs/sha256").iterdir()} == blobs


def test_what_is_needed_goes_along_where_nothing_that_fits_is_there(tmp_path: Path, place_: str) -> None:
    here, there = Registry(tmp_path / "registry"), at(place_)
    here.publish(
        [
            *(pack("a/base", version) for version in ("1.0.0", "1.4.0", "2.0.0")),
            pack("a/one", "1.0.0", "a/base@^1"),
            pack("a/two", "1.0.0", "a/one@^1", "a/base@^2"),
        ]
    )
    for name, along in (("a/one", ["a/base@1.4.0", "a/one@1.0.0"]), ("a/two", ["a/base@2.0.0", "a/two@1.0.0"])):
        wanted = with_needs([here.newest(name)], here, there)
        assert [str(one) for one in wanted] == along
        carry(wanted, here, there)
    back = Registry(tmp_path / "back")
    carry(with_needs([there.newest("a/two")], there, back), there, back)
    assert [str(one) for one in back.all()] == ["a/base@1.4.0", "a/base@2.0.0", "a/one@1.0.0", "a/two@1.0.0"]
    here.publish([pack("a/three", "1.0.0", "a/none@^1")])
    with pytest.raises(RegistryError, match=r"`a/three@1.0.0` needs `a/none@\^1`: there is no component `a/none`"):
        with_needs([here.newest("a/three")], here, there)


def test_a_lock_is_pushed_and_pulled_in_one_go(shop: Path, place_: str, capsys: pytest.CaptureFixture[str]) -> None:
    published(shop)
    lock = locked(shop)
    cash(shop, version="1.0.1", more="# a comment\n")
    published(shop, "shop/cash")  # a newer one, which the lock does not hold
    assert main(["push", str(lock), "--to", place_]) == 0
    assert [str(one) for one in at(place_).all()] == ["shop/cash@1.0.0", "shop/sale@1.0.0", "shop/screening@1.0.0"]
    assert main(["pull", str(lock), "--from", place_, "--registry", "back", "--json"]) == 0
    assert Engine.load(lock, registry="back").decide(SALE).outcome == "review"
    cash(shop, version="1.0.2", more="# another\n")
    locked(shop, "--draft")
    assert main(["push", str(lock), "--to", place_]) == 2
    assert "holds drafts, which are in no registry" in capsys.readouterr().err


def test_names_that_no_registry_takes_are_not_published(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    for name, version in (
        ("a/b_", "1.0.0"),
        ("a/b__c", "1.0.0"),
        ("a/b---c", "1.0.0"),
        ("a/" + "b" * 200, "1.0.0"),
        ("a/b", "1.0.0-" + "a" * 99),
    ):
        with pytest.raises(RegistryError, match="OCI registries do not take its name"):
            registry.publish([pack(name, version)])
    assert not registry.all()


def test_prereleases_go_too(tmp_path: Path, place_: str) -> None:
    there = at(place_)
    sent(there, pack("a/b", "1.0.0"), pack("a/b", "2.0.0-rc.1"), folder=tmp_path / "registry")
    assert [str(one) for one in there.versions("a/b")] == ["a/b@1.0.0", "a/b@2.0.0-rc.1"]
    assert str(there.newest("a/b")) == "a/b@1.0.0" and str(there.newest("a/b", "2.0.0-rc.1")) == "a/b@2.0.0-rc.1"


def test_a_server_is_listed_page_by_page(tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    there = at(remote)
    sent(there, *(pack(f"a/n{number}", f"1.{more}.0") for number in range(4) for more in range(4)), folder=tmp_path / "registry")
    monkeypatch.setattr("engine.registry.server._PAGE", 3)
    assert told(at(remote)) == told(at(tmp_path / "registry")) and len(there.all()) == 16


def test_large_files_go_in_pieces(tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(40_000_000)
    monkeypatch.setattr("engine.registry.server._CHUNKED", 20_000_000)
    sent(at(remote), pack("a/b", "1.0.0", files={"models/a/b/1.0.0/model.txt": data}), folder=tmp_path / "registry")
    back = Registry(tmp_path / "back")
    carry(at(remote).all(), at(remote), back)
    assert back.files(back.newest("a/b")) == {"models/a/b/1.0.0/model.txt": data}


# --- never another -----------------------------------------------------------------------------------------------------


def test_a_version_that_is_there_with_other_bytes_is_refused_on_both_sides(tmp_path: Path, place_: str) -> None:
    there = at(place_)
    sent(there, pack("a/b", "1.0.0"), folder=tmp_path / "first")
    other = Registry(tmp_path / "other_bytes")
    other.publish([pack("a/a", "1.0.0"), pack("a/b", "1.0.0", files={"rulesets/a/b.rules": b"something else"})])
    before = told(there), told(other)
    for source, target in ((other, there), (there, other)):
        with pytest.raises(RegistryError, match=r"`a/b@1.0.0` is not the same in two places, and a version never changes") as error:
            carry(source.all(), source, target)
        assert all(
            one.component.hash in str(error.value) and one.manifest.digest in str(error.value)
            for one in (there.newest("a/b"), other.newest("a/b"))
        )
    assert (told(there), told(other)) == before


def test_one_that_came_in_between_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = Registry(tmp_path / "one"), Registry(tmp_path / "two")
    source.publish([pack("a/b", "1.0.0")])
    receive = Registry.receive

    def meanwhile(self: Registry, *given: Any) -> None:
        receive(self, *given)
        target.publish([pack("a/b", "1.0.0", files={"rulesets/a/b.rules": b"of another"})])

    monkeypatch.setattr(Registry, "receive", meanwhile)
    with pytest.raises(RegistryError, match="is not the same in two places"):
        carry(source.all(), source, target)
    assert target.files(target.newest("a/b")) == {"rulesets/a/b.rules": b"of another"}


# --- marks -------------------------------------------------------------------------------------------------------------


def test_marks_travel_and_are_taken_away_only_where_that_is_said(tmp_path: Path, place_: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = Registry(tmp_path / "registry")
    here.publish([pack("a/b", "1.0.0"), pack("a/b", "1.1.0")])
    own = ["--registry", str(here.place)]
    there = ["--registry", place_]
    assert main(["yank", "a/b@1.1.0", "--because", "wrong by ten", *own]) == 0
    assert main(["push", "--all", "--to", place_, *own]) == 0
    assert told(at(place_)) == told(here) and here.all()[1].yanked == "wrong by ten"
    assert str(at(place_).newest("a/b")) == "a/b@1.0.0"
    assert main(["yank", "a/b@1.0.0", "--because", "worse", *there]) == 0  # marked there alone
    assert main(["push", "--all", "--to", place_, *own]) == 0
    assert f"a/b@1.0.0 is marked in {place_} alone: worse" in capsys.readouterr().err
    assert main(["pull", "--all", "--from", place_, *own]) == 0
    assert "a/b@1.0.0 is marked as yanked now: worse" in capsys.readouterr().out
    assert [one.yanked for one in here.all()] == ["worse", "wrong by ten"]
    assert main(["yank", "a/b@1.0.0", "--undo", *own]) == 0 and main(["yank", "a/b@1.0.0", "--undo", *there]) == 0
    assert main(["push", "--all", "--to", place_, *own]) == 0
    assert [one.yanked for one in at(place_).all()] == [None, "wrong by ten"]


# --- a server as registry ----------------------------------------------------------------------------------------------


def test_a_place_on_a_server_serves_as_registry(shop: Path, remote: str, capsys: pytest.CaptureFixture[str]) -> None:
    published(shop)
    wanted = locked(shop).read_bytes()
    cash(shop, version="1.0.1", more="# a comment\n")
    published(shop, "shop/cash")
    assert main(["push", "--all", "--to", remote]) == 0
    (shop / "registry").rename(shop / "away")
    cash(shop)
    lock = locked(shop, "--registry", remote)
    assert b'"1.0.1"' in lock.read_bytes()
    assert Engine.load(lock, registry=remote).decide(SALE).outcome == "review"
    lock.write_bytes(wanted)  # an older one of the same server
    engine = Engine.load(lock, registry=remote)
    assert ("ruleset", "shop/cash", "1.0.0") in {one[:3] for one in engine.versions}
    assert main(["keygen", "release"]) == 0 and main(["bundle", str(lock), "--key", "release.key", "--registry", remote]) == 0
    assert Engine.load(lock.with_suffix(".bundle"), trust="release.pub").decide(SALE).outcome == "review"
    capsys.readouterr()
    assert main(["list", "shop/cash", "--registry", remote]) == 0 and main(["show", "shop/cash", "--registry", remote]) == 0
    said = capsys.readouterr().out
    assert "1.0.0, 1.0.1" in said and "rulesets/shop/cash.rules (" in said
    (shop / "sale.json").write_text('{"id": "S1", "at": "2026-03-06T18:20:00", "channel": "cash", "amount": "700.00"}')
    assert main(["decide", str(lock), "sale.json", "--registry", remote]) == 0
    assert not (shop / "registry").exists()


def test_what_a_lock_holds_is_fetched_once(shop: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    published(shop)
    lock = locked(shop)
    assert main(["push", str(lock), "--to", remote]) == 0
    (shop / "registry").rename(shop / "away")
    wanted = Engine.load(lock, registry=remote).decide(SALE).to_json()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("there is no network here")

    monkeypatch.setattr(socket, "socket", refuse)
    assert Engine.load(lock, registry=remote).decide(SALE).to_json() == wanted


def test_what_was_fetched_follows_the_marks_of_its_server(shop: Path, remote: str) -> None:
    published(shop)
    cash(shop, version="1.0.1", more="# a comment\n")
    published(shop, "shop/cash")
    assert main(["push", "--all", "--to", remote]) == 0

    def version() -> bytes:
        return locked(shop, "--registry", remote).read_bytes()

    newest = version()
    assert main(["yank", "shop/cash@1.0.1", "--because", "bad", "--registry", remote]) == 0
    cash(shop)
    assert b'"1.0.1"' in newest and b'"1.0.1"' not in version()
    assert main(["yank", "shop/cash@1.0.1", "--undo", "--registry", remote]) == 0
    assert version() == newest


def test_what_works_on_folders_says_the_way_out(shop: Path, remote: str, capsys: pytest.CaptureFixture[str]) -> None:
    published(shop)
    locked(shop, "--draft")
    for command in (["publish", "--all"], ["push", "--all", "--to", "x"], ["pull", "--all", "--from", "x"]):
        assert main([*command, "--registry", remote]) == 2
        assert f"`{remote}` is on a server, here a folder is needed: `engine pull" in capsys.readouterr().err
    with pytest.raises(RegistryError, match="here a folder is needed"):
        Engine.load("cascades/screening.yaml", registry=remote)


def test_all_that_may_be_needed_is_found(tmp_path: Path) -> None:
    here = Registry(tmp_path / "registry")
    here.publish([pack("a/base", "1.0.0"), pack("a/base", "2.0.0"), pack("a/one", "1.0.0", "a/base@^1"), pack("a/other", "1.0.0")])
    assert [str(one) for one in reachable("record", "a/one", here)] == ["a/one@1.0.0", "a/base@1.0.0", "a/base@2.0.0"]


# --- what is interrupted, or damaged -----------------------------------------------------------------------------------


def complete(there: Registry | Server, folder: Path) -> set[str]:
    """What is there, each version whole."""
    back = Registry(folder)
    carry(there.all(), there, back)
    assert all(back.files(one) for one in back.all())
    return {str(one) for one in back.all()}


THREE = (pack("a/b", "1.0.0"), pack("a/b", "1.1.0"), pack("a/c", "1.0.0"))


def until_it_is_through(owner: str, name: str, do: Callable[[int], None]) -> Iterator[int]:
    """Do something again and again: with Ctrl-C at the first call of a function, at the second, and so on, until nobody calls so often."""
    module = sys.modules[owner]
    real = getattr(module, name)
    for last in range(1, 200):
        calls = itertools.count(1)

        def counted(*given: Any, last: int = last, calls: Iterator[int] = calls, **named: Any) -> Any:
            if next(calls) == last:
                raise KeyboardInterrupt
            return real(*given, **named)

        setattr(module, name, counted)
        try:
            do(last)
        except KeyboardInterrupt:
            continue
        else:
            return
        finally:
            setattr(module, name, real)
            yield last


@pytest.mark.parametrize(("owner", "name"), [("engine.registry.client", "_once"), ("engine.registry.oci", "unfinished")])
def test_whatever_interrupts_a_pull_no_half_version_is_here(tmp_path: Path, remote: str, owner: str, name: str) -> None:
    sent(at(remote), *THREE, folder=tmp_path / "registry")

    def pull(number: int) -> None:
        source = at(remote)
        carry(source.all(), source, Registry(tmp_path / f"here{number}"))

    seen = []
    for number in until_it_is_through(owner, name, pull):
        here = tmp_path / f"here{number}"
        assert not list(here.rglob(".unfinished-*"))
        seen.append(len(complete(Registry(here), tmp_path / f"copy{number}")))
    assert len(seen) > 6 and seen[-1] == 3 and set(seen[:-1]) == {0}
    pull(len(seen) // 2)  # and what was begun is finished
    assert len(complete(Registry(tmp_path / f"here{len(seen) // 2}"), tmp_path / "last")) == 3


def test_whatever_interrupts_a_push_no_half_version_is_there(tmp_path: Path, remote: str) -> None:
    here = Registry(tmp_path / "registry")
    here.publish(THREE)
    seen = []
    for number in until_it_is_through("engine.registry.client", "_once", lambda last: _push(here, f"{remote}/n{last}")):
        seen.append(len(complete(at(f"{remote}/n{number}"), tmp_path / f"back{number}")))
    assert set(seen) == {0, 1, 2, 3} and seen[-1] == 3 and seen == sorted(seen)


def _push(here: Registry, where: str) -> None:
    carry(here.all(), here, at(where))


KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from engine.cli.main import main
import engine.registry.client as client
real, calls = client._once, []
def counted(*given, **named):
    calls.append(1)
    if len(calls) == {last}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)
client._once = counted
sys.exit(main({command!r}))
"""


@pytest.mark.parametrize(("word", "last"), [("push", 12), ("pull", 8)])
def test_whoever_is_killed_leaves_no_half_version(tmp_path: Path, remote: str, word: str, last: int) -> None:
    here = Registry(tmp_path / "registry")
    here.publish(THREE)
    if word == "pull":
        carry(here.all(), here, at(remote))
    folder = tmp_path / "registry" if word == "push" else tmp_path / "new"
    command = [word, "--all", "--to" if word == "push" else "--from", remote, "--registry", str(folder)]
    code = KILLED.format(path=sys.path, last=last, command=command)
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == -signal.SIGKILL
    there = complete(at(remote if word == "push" else folder), tmp_path / "back")
    assert len(there) < 3
    assert main(command) == 0
    assert len(complete(at(remote if word == "push" else folder), tmp_path / "again")) == 3


def test_a_pull_mends_what_was_damaged(tmp_path: Path, place_: str) -> None:
    here, there = Registry(tmp_path / "registry"), at(place_)
    here.publish(THREE)
    carry(here.all(), here, there)
    blobs = sorted((tmp_path / "registry/blobs/sha256").iterdir())
    wanted = {path.name: path.read_bytes() for path in blobs}
    for path in blobs[:-1]:
        path.write_bytes(b"x" + path.read_bytes()[1:])
    blobs[-1].unlink()
    done = carry(there.all(), there, here)
    assert not done.new and {path.name: path.read_bytes() for path in blobs} == wanted


def test_what_is_damaged_here_is_not_sent(tmp_path: Path, place_: str) -> None:
    here = Registry(tmp_path / "registry")
    here.publish([pack("a/b", "1.0.0")])
    for path in (tmp_path / "registry/blobs/sha256").iterdir():
        if path.read_bytes() == b"a/b 1.0.0":
            path.write_bytes(b"a/b 1.0.1")
    with pytest.raises(
        RegistryError, match=r"`a/b@1.0.0`.*: the blob sha256:[0-9a-f]{64} (was altered|of 9 bytes came as bytes of another)"
    ):
        carry(here.all(), here, at(place_))
    assert at(place_).all() == []
