"""`engine backfill` and `engine features` on servers: the same as on a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.main import main
from tests.features import servers
from tests.revisions.bank import workspace
from tests.revisions.test_backfill import CASCADE, FROM, fed, says, stream


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_what_is_built_on_a_server_is_what_was_fed_live(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace(tmp_path, "  late up to 2 days\n  revision version\n")
    monkeypatch.chdir(tmp_path)
    events, url = stream(3), servers.address(kind, tmp_path)
    fed(events[:50], url)  # what is there is replaced
    fed(events, "sqlite:live.db", "ledger.db")
    assert main(["backfill", CASCADE, "--store", url, "--ledger", "ledger.db", "--history-from", FROM, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rejected"] == 0
    built, live = says(url, events), says("sqlite:live.db", events)
    assert built[:2] == live[:2]  # when rows that no window sees are dropped is each log's own affair
    shown = []
    for store in (url, "sqlite:live.db"):
        assert main(["features", CASCADE, "--store", store, "--key", "account=A", "--at", "2026-03-26T00:00:00", "--json"]) == 0
        shown.append(json.loads(capsys.readouterr().out))
        shown[-1].pop("store", None)
        assert main(["features", CASCADE, "--store", store]) == 0
        assert "row" in capsys.readouterr().out
    assert shown[0] == shown[1] and "D" in json.dumps(shown[0])
