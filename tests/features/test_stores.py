"""Live stores: an event counts once, looking leaves no trace, nothing is lost or mixed up, whatever happens to the process."""

from __future__ import annotations

import itertools
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import InputError, StoreError
from engine.features.single import HistoryStep
from engine.features.spec import BoundFeatures
from engine.features.store import Store, open_store
from engine.plan import Step
from engine.values import DATE, DAY, MISSING, Interval, Money, missing
from tests.features.events import INCOMING, bound, days, event, feature, read, record
from tests.features.servers import address

COUNT = feature("n", "count", days(7))
SUM = feature("sum", "sum", days(7), read("price"), INCOMING, bounded=True)
GROUP = bound([COUNT, SUM, feature("merchants", "distinct", days(30), read("merchant"))], record(), "profile.")
START = 1000 * DAY


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with open_store(address(request.param, tmp_path), [GROUP], record()) as opened:
        yield opened


# --- one event, once -------------------------------------------------------------------------------------------------


def test_the_same_event_twice_is_one_event_and_gets_the_same_answer(store: Store) -> None:
    first = store.observe(event(START, id="T1", price=Money(5, "USD"), merchant="ü\ud800"))
    store.observe(event(START))
    assert store.observe(event(START, id="T1", price=Money(5, "USD"), merchant="ü\ud800")) == first
    assert first == {
        "profile.n": Interval(1, None, "short history"),
        "profile.sum": missing("short history"),
        "profile.merchants": first["profile.merchants"],
    }
    assert store.observe(event(START))["profile.n"] == Interval(3, None, "short history")


def test_the_same_key_with_other_content_is_refused_by_name_and_leaves_nothing(store: Store) -> None:
    store.observe(event(START, id="T1"))
    with pytest.raises(InputError, match="an event with `id` = 'T1' was there before with other content"):
        store.observe(event(START, id="T1", amount=7))
    assert store.observe(event(START))["profile.n"].low == 2


def test_why_a_field_is_missing_is_content_too(store: Store) -> None:
    store.observe(event(START, id="T1", merchant=MISSING))
    with pytest.raises(InputError):
        store.observe(event(START, id="T1", merchant=missing("damaged")))


def test_an_event_without_key_or_time_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="an event needs `id`: it is missing \\(damaged\\)"):
        store.observe(event(START, id=missing("damaged")))
    with pytest.raises(InputError, match="an event needs `at`: it is missing \\(absent\\)"):
        store.observe({**event(START), "at": MISSING})


def test_looking_gives_the_answer_and_leaves_no_trace(store: Store) -> None:
    looked = store.observe(event(START + 8 * DAY, id="T1"), record=False)
    assert looked["profile.n"] == Interval(1, None, "short history")
    store.observe(event(START, id="T0"))
    assert store.observe(event(START + 8 * DAY, id="T1"), record=False)["profile.n"] == 1
    assert store.observe(event(START + 8 * DAY, id="T1", amount=9))["profile.n"] == 1


def test_a_record_may_grow_by_a_field_that_old_events_do_not_have(tmp_path: Path) -> None:
    old = record()
    grown = type(old)(
        **{name: getattr(old, name) for name in old.__slots__} | {"fields": (*old.fields, type(old.fields[0])("memo", old.fields[0].type))}
    )
    url = f"sqlite:{tmp_path / 'history.db'}"
    with open_store(url, [GROUP], old) as store:
        first = store.observe(event(START, id="T1"))
    with open_store(url, [GROUP], grown) as store:
        assert store.observe(event(START, id="T1", memo=MISSING)) == first


def test_what_no_window_can_see_any_more_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with open_store(f"sqlite:{path}", [GROUP], record()) as store:
        for day in range(100):
            store.observe(event(START + day * DAY))
    (rows,) = sqlite3.connect(path).execute("SELECT count(*) FROM row").fetchone()
    assert rows == 100 - (96 - 31)  # looked after at the 96th: what the longest window sees, and a day more for what comes late


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_goes_on_where_it_stopped(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'history.db'}"
    with open_store(url, [GROUP], record()) as store:
        first = store.observe(event(START, id="T1"))
    with open_store(url, [GROUP], record()) as store:
        assert store.observe(event(START, id="T1")) == first
        assert store.observe(event(START + 7 * DAY - 1))["profile.n"] == 2


@pytest.mark.parametrize("url", ["sqlite:history.db", "sqlite:///history.db"])
def test_relative_addresses(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store(url, [GROUP], record()).close()
    assert (tmp_path / "history.db").is_file()


def test_an_absolute_address_has_four_strokes(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path / 'history.db'}", [GROUP], record()).close()
    assert (tmp_path / "history.db").is_file()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis:here", "is of no known kind; use `memory:`, `sqlite:PATH`"),
        ("sqlite:", "names no file"),
        ("sqlite://history.db", "names a machine; a file has three strokes: `sqlite:///history.db`"),
        ("sqlite:nowhere/history.db", "there is no folder `nowhere`"),
        ("sqlite:.", "is a folder"),
    ],
)
def test_addresses_nobody_can_open(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        open_store(url, [GROUP], record())


def test_a_store_made_for_other_features_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'history.db'}"
    open_store(url, [GROUP], record()).close()
    changed = bound([COUNT, feature("sum", "sum", days(8), read("price"), INCOMING, bounded=True)], record(), "profile.")
    with pytest.raises(StoreError, match="was made for other features; rebuild it from history with `engine backfill`"):
        open_store(url, [changed], record())
    with pytest.raises(StoreError, match="was made for other features"):
        open_store(url, [GROUP], record(late=2 * DAY))


def test_the_order_of_feature_sets_does_not_matter(tmp_path: Path) -> None:
    other = bound([feature("n", "count", days(7), where=INCOMING, per=("branch",))], record(), "cash.")
    url = f"sqlite:{tmp_path / 'history.db'}"
    with open_store(url, [GROUP, other], record()) as store:
        store.observe(event(START))
    with open_store(url, [other, GROUP], record()) as store:
        assert store.observe(event(START + 8 * DAY, direction="out"))["cash.n"] == 0


def test_history_from_is_kept_and_may_not_change(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'history.db'}"
    open_store(url, [GROUP], record()).close()
    with open_store(url, [GROUP], record(), START) as store:
        store.observe(event(START + 8 * DAY))
    open_store(url, [GROUP], record(), START).close()
    with pytest.raises(StoreError, match="has its history from another time; open it without `history_from`"):
        open_store(url, [GROUP], record(), START + 1)


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text, base, newer = tmp_path / "a.txt", tmp_path / "b.db", tmp_path / "c.db"
    text.write_text("no database, but long enough to be looked at as one" * 40)
    with sqlite3.connect(base) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    open_store(f"sqlite:{newer}", [GROUP], record()).close()
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for path, message in ((text, "cannot be used: file is not a database"), (base, "is no history store"), (newer, "has schema 99")):
        with pytest.raises(StoreError, match=message):
            open_store(f"sqlite:{path}", [GROUP], record())
    assert sqlite3.connect(base).execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "20240101", ""])
def test_history_from_must_be_a_date_or_time(text: str) -> None:
    with pytest.raises(StoreError, match="is no date or time to have history from"):
        open_store("memory:", [GROUP], record(DATE), text)


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.observe(event(START))


def test_an_event_on_its_way_while_the_store_closes_is_not_taken() -> None:
    store = open_store("memory:", [GROUP], record())
    store.observe(event(START))
    on_its_way = vars(store)["_swift"]
    assert on_its_way(event(START + 1, id="T2"), START) is not None
    store.close()
    assert on_its_way(event(START + 2, id="T3"), START) is None


# --- threads, processes, kills ---------------------------------------------------------------------------------------


def test_two_threads_on_one_key_lose_no_event(store: Store) -> None:
    seen: list[int] = []

    def work(name: str) -> None:
        for number in range(100):
            seen.append(store.observe(event(START, id=f"{name}{number}"))["profile.n"].low)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 201))


WORKER = """
import sys
from engine.features.store import open_store
from tests.features.events import event, record
from tests.features.test_stores import GROUP, START
with open_store(sys.argv[1], [GROUP], record()) as store:
    print("ready", flush=True)
    for number in range(int(sys.argv[3])):
        store.observe(event(START, id=f"{sys.argv[2]}{number}"))
        print(number, flush=True)
"""


def worker(url: str, name: str, events: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORKER, url, name, str(events)], stdout=subprocess.PIPE, text=True)


def test_two_processes_on_one_file_lose_no_event(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'history.db'}"
    workers = [worker(url, name, 100) for name in "ab"]
    assert [process.communicate()[0].split()[-1] for process in workers] == ["99", "99"]
    with open_store(url, [GROUP], record()) as store:
        assert store.observe(event(START))["profile.n"].low == 201


def test_a_killed_process_loses_nothing_it_has_said_and_leaves_no_half_event(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'history.db'}"
    process = worker(url, "a", 100_000)
    assert process.stdout is not None
    said = list(itertools.islice(process.stdout, 60))
    process.send_signal(signal.SIGKILL)
    process.wait()
    said += process.stdout.readlines()
    process.stdout.close()
    done = len(said) - 1
    with open_store(url, [GROUP], record()) as store:
        counted = store.observe(event(START, id="after"))["profile.n"].low - 1
        assert counted - done in (0, 1)  # killed perhaps after the event was kept and before it was said
        again = [store.observe(event(START, id=f"a{number}"))["profile.n"].low for number in range(counted)]
    assert again == list(range(1, counted + 1))


# --- the step --------------------------------------------------------------------------------------------------------


def test_without_a_store_every_feature_is_unavailable() -> None:
    step = HistoryStep((GROUP,), record())
    assert isinstance(step, Step)
    assert step.one(event(START)) == dict.fromkeys(step.writes, missing("unavailable"))


def test_a_step_reads_its_features_from_a_store_for_more(tmp_path: Path) -> None:
    other = bound([feature("n", "count", days(7), per=("branch",))], record(), "cash.")
    with open_store("memory:", [GROUP, other], record(), 0) as store:
        one, two = (HistoryStep((group,), record()).bind(store) for group in (GROUP, other))
        given = event(START)
        assert one.one(given)["profile.n"] == 1
        assert two.one(given) == {"cash.n": 1}  # the same event, so it counts once
        assert HistoryStep((other,), record()).bind(store, record=False).one(event(START)) == {"cash.n": 2}
        assert two.one(event(START)) == {"cash.n": 2}


def test_a_step_refuses_a_store_for_other_features() -> None:
    other: BoundFeatures = bound([feature("n", "count", days(8))], record(), "profile.")
    with open_store("memory:", [other], record()) as store, pytest.raises(StoreError, match="was opened for other features"):
        HistoryStep((GROUP,), record()).bind(store)
