"""A version is taken out of Production without a successor, by its command, and does not come back by itself."""

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ratchet.operate import rollout
from tests import moving
from tests.conftest import Told

Ratchet = Callable[..., Told]
REASON = "it approves everybody"


@pytest.fixture
def task(store: Path, workplace: Path) -> Path:
    """The task in an empty folder, with a store like that of `store`."""
    return moving.copied(store, workplace)


def test_the_first_bad_version_is_withdrawn_and_every_command_says_since_when_by_whom_and_why(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.as_user(monkeypatch, "ada")
    assert "give a reason with --reason" in ratchet("withdraw", "-c", task).err
    done = ratchet("withdraw", "-c", task, "--reason", REASON)
    assert done.code == 0, done.err
    assert f"withdraw Production → Archived by ada: {REASON}" in done.out
    assert "small: nothing is in Production; version 1 is archived" in done.out
    assert moving.stages(moving.session(task)) == {1: ("Archived", ())}

    said = ratchet("status", "-c", task).out
    assert re.search(
        rf"nothing in Production since \S+ \S+ UTC: version 1 was withdrawn by ada because: {REASON}", said
    )
    entries = ratchet("ledger", "-c", task, "--json").json["entries"]
    assert [(e["action"], e["phase"], e["why"]) for e in entries[-2:]] == [
        ("withdraw", "intended", REASON), ("withdraw", "done", REASON)]  # fmt: skip
    assert ratchet("ledger", "verify").code == 0
    assert ratchet("reconcile", "-c", task).code == 0

    now = ratchet("ledger", "-c", task, "--at", "2999-01-01T00:00Z", "--json").json["versions"]
    assert [(f["stage"], f["version"], f["action"], f["why"]) for f in now] == [
        ("Production", None, "withdraw", REASON)
    ]
    before = ratchet("ledger", "-c", task, "--at", entries[-3]["at"], "--json").json["versions"]
    assert [(f["stage"], f["version"]) for f in before] == [("Production", 1)]

    back = ratchet("rollback", "-c", task, "--to", 1, "--comment", "the alarm was false")
    assert "small: version 1, which had been withdrawn, is in Production again" in back.out
    assert ratchet("withdraw", "-c", task, "--reason", REASON).code == 0
    again = ratchet("withdraw", "-c", task, "--reason", "twice")
    assert again.code == 1
    assert "nothing is in Production, so there is nothing to withdraw; version 1 was withdrawn at" in again.err
    assert "had no champion before it" in ratchet("rollback", "-c", task).err


def test_a_withdrawn_version_comes_back_only_by_its_number_and_a_reason_nor_does_a_copy_of_it(
    task: Path, ratchet: Ratchet
) -> None:
    assert ratchet("withdraw", "-c", task, "--reason", REASON).code == 0
    for words in (("run", "-c", task), ("promote", "-c", task), ("promote", "-c", task, "--version", 1),
                  ("promote", "-c", task, "--version", 1, "--comment", "please")):  # fmt: skip
        refused = ratchet(*words)
        assert refused.code == 1
        assert "small version 1 stays in Archived; it was withdrawn at" in refused.err
        assert f"because: {REASON}; it comes back by `ratchet rollback -c FILE --to 1 --comment …` alone" in refused.err

    copy = ratchet("run", "-c", task, "--force")
    assert "small version 2 was registered; it is the same model as version 1, which was withdrawn at" in copy.err
    assert moving.in_production(moving.session(task)) == []
    moving.task_in(task.parent, split={"by": "hash", "salt": "again"})
    other = ratchet("run", "-c", task)
    assert other.code == 0, other.err
    assert moving.in_production(moving.session(task)) == [3], "another model goes its way"

    assert "to bring it back all the same, name it and say why" in ratchet("rollback", "-c", task, "--to", 1).err
    moving.task_in(task.parent, gates={"production": [{"metric": "roc_auc", "minimum": 0.5}]})
    named = ratchet("promote", "-c", task, "--version", 2, "--comment", "the alarm was false")
    assert named.code == 0, named.err
    back = ratchet("rollback", "-c", task, "--to", 1, "--comment", "the alarm was false")
    assert back.code == 0, back.err
    assert moving.in_production(moving.session(task)) == [1]
    assert "nothing in Production" not in ratchet("status", "-c", task).out
    assert ratchet("rollback", "-c", task, "--to", 2).code == 0, "and is a version like any other again"


def test_a_rollback_after_a_withdrawal_leads_to_the_champion_before_it(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    moving.again(at)
    moving.promote(at, 2)
    assert ratchet("withdraw", "-c", task, "--reason", REASON).code == 0
    back = ratchet("rollback", "-c", task)
    assert "small: version 1 is in Production again, version 2 is archived" in back.out
    assert "version 1" not in ratchet("rollback", "-c", task).out, "there was no champion before version 1"


def test_a_live_version_is_not_refused_but_withdrawn_and_the_offered_commands_work(
    task: Path, ratchet: Ratchet
) -> None:
    refused = ratchet("refuse", 1, "-c", task, "--comment", REASON)
    assert refused.code == 1
    assert (
        "is in Production, where a refusal changes nothing; take it out: `ratchet withdraw -c FILE --reason"
        in refused.err
    )
    assert ratchet("withdraw", "-c", task, "--reason", REASON).code == 0


def test_nothing_is_withdrawn_while_a_rollout_is_under_way(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    moving.again(at)
    moving.promote(at, 2, "Staging")
    rollout.start(at)
    refused = ratchet("withdraw", "-c", task, "--reason", REASON)
    assert refused.code == 1
    assert "is under way; end it first, `ratchet rollout abort -c FILE --comment …`, then withdraw" in refused.err
    assert moving.in_production(at) == [1]
    assert ratchet("rollout", "abort", "-c", task, "--comment", "version 1 is bad").code == 0
    assert ratchet("withdraw", "-c", task, "--reason", REASON).code == 0
    assert moving.in_production(at) == []
    assert ratchet("rollout", "start", "-c", task).err.count("nothing is in Production that it could be held against")


def test_the_webhook_hears_of_a_withdrawal_with_its_reason(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = list[bytes]()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("RATCHET_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("RATCHET_WEBHOOK_SECRET", "secret")
        assert ratchet("withdraw", "-c", task, "--reason", REASON).code == 0
        server.shutdown()
    assert [(e["action"], e["phase"], e["why"]) for e in map(json.loads, bodies)] == [
        ("withdraw", "intended", REASON), ("withdraw", "done", REASON)]  # fmt: skip
