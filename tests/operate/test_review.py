"""Approval, the registry held against the ledger, and the way back, by their commands."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from ratchet.adapters import records, tracking
from ratchet.adapters.servers import free_port
from ratchet.steps import yardstick
from tests import moving
from tests.conftest import Told
from tests.end_to_end.commands import run, start

Ratchet = Callable[..., Told]


@pytest.fixture
def task(store: Path, workplace: Path) -> Path:
    """The task in an empty folder, with a store like that of `store`."""
    return moving.copied(store, workplace)


# ---------------------------------------------------------------- approvals


LOCAL = {"production": 1, "trust": "local"}


def test_a_version_waits_for_the_approval_of_somebody_else_until_what_they_saw_changes(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(person: str, *words: object) -> Told:
        moving.as_user(monkeypatch, person)
        return ratchet(*words)

    moving.task_in(task.parent, approvals=LOCAL)
    promote = ("promote", "-c", task, "--seed", 8)
    first = said("ada", *promote)
    assert first.code == 1
    assert "stays in Staging; Production refused: approvals 0 of 1; somebody who did not train it types" in first.err
    approve = ("approve", 2, "-c", task, "--comment", "read the card")
    assert "version 2: was trained by ada, or nobody knows by whom" in said("ada", *approve).err
    assert "give a reason with --comment" in said("bob", "approve", 2, "-c", task).err
    assert said("carol", "refuse", 2, "-c", task, "--comment", "March is missing").code == 0
    assert "approvals that count now: 0 of 1" in said("bob", *approve).out
    assert "Production refused: carol refused it" in said("ada", *promote).err
    assert said("carol", "approve", 2, "-c", task, "--comment", "March is there now").code == 0

    changed = moving.SMALL["gates"] | {"production": [{"metric": "roc_auc", "max_drop": 0.4}]}
    moving.task_in(task.parent, approvals=LOCAL, gates=changed)
    assert "approvals 0 of 1, bob, carol approved what has changed since" in said("ada", *promote).err
    moving.task_in(task.parent, approvals=LOCAL)
    assert "small version 2 is in Production: models:/small/2" in said("ada", *promote).out
    assert "small version 2 is in Production already; nothing was moved" in said("ada", *promote).out
    assert moving.stages(moving.session(task))[2] == ("Production", ("champion",))
    words = [(e["action"], e["person"]) for e in ratchet("ledger", "--json").json["entries"] if e["phase"] == "done"]
    assert words[-4:] == [("refuse", "carol"), ("approve", "bob"), ("approve", "carol"), ("promote", "ada")]


def test_on_a_database_of_ones_own_nobody_is_a_second_person(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.task_in(task.parent, approvals={"production": 1})
    promote = ("promote", "-c", task, "--seed", 8)
    assert "approvals 0 of 1" in ratchet(*promote).err
    for name in ("LOGNAME", "USER", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.setenv(name, "anna")
    told = ratchet("approve", 2, "-c", task, "--comment", "fine")
    assert told.code == 0
    assert "unverified, so it does not count: it counts from an account of the tracking server" in told.out
    assert "approvals that count now: 0 of 1" in told.out
    assert "by anna" not in told.out, "a name in the environment is nobody's"
    again = ratchet(*promote)
    assert again.code == 1
    assert "approvals 0 of 1, " in again.err and " unverified: it counts from an account" in again.err


def test_a_reviewer_sees_what_asks_for_less_and_a_file_that_drops_the_approvals_still_needs_one(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.task_in(task.parent, approvals=LOCAL)
    ratchet("promote", "-c", task, "--seed", 8)
    moving.as_user(monkeypatch, "bob")
    assert ratchet("approve", 2, "-c", task, "--comment", "fine").code == 0
    assert ratchet("promote", "-c", task, "--seed", 8).code == 0

    gates = {"staging": [{"beats": "dummy", "point": True}], "production": []}
    moving.task_in(task.parent, approvals={"trust": "local"}, gates=gates)
    gone = "loosened gates.production: {metric: roc_auc, max_drop: 0.5} of version 2 is gone"
    dropped = "approvals.production: 1 of the champion is 0"
    told = ratchet("promote", "-c", task, "--seed", 9)
    assert told.code == 1
    assert "approvals 0 of 1, one of them for what asks for less than of the champion (gates.production" in told.err
    moving.as_user(monkeypatch, "carol")
    approved = ratchet("approve", 3, "-c", task, "--comment", "the gate was wrong").out
    assert gone in approved and dropped in approved
    assert ratchet("promote", "-c", task, "--seed", 9, "--comment", "at last").code == 0
    entry = ratchet("ledger", "-c", task, "--json").json["entries"][-1]
    assert entry["why"] == f"at last; {gone}; loosened {dropped}"
    assert gone in ratchet("status", "-c", task).out


def test_after_a_withdrawal_a_file_asks_for_no_less_than_it_did_of_who_was_withdrawn(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.task_in(task.parent, approvals=LOCAL)
    ratchet("promote", "-c", task, "--seed", 8)
    moving.as_user(monkeypatch, "bob")
    assert ratchet("approve", 2, "-c", task, "--comment", "fine").code == 0
    assert ratchet("promote", "-c", task, "--seed", 8).code == 0
    assert ratchet("withdraw", "-c", task, "--reason", "it approves everybody").code == 0

    gates = {"staging": [{"beats": "dummy", "point": True}], "production": [{"keeps_up": "champion"}]}
    split = {"by": "hash", "salt": "again"}  # another model: the same one stays where it is anyhow
    moving.task_in(task.parent, approvals={"trust": "local"}, gates=gates, split=split)
    told = ratchet("promote", "-c", task)
    assert told.code == 1
    assert "approvals 0 of 1, one of them for what asks for less than of the champion (gates.production" in told.err
    assert "{metric: roc_auc, max_drop: 0.5} of version 2 is gone" in told.err
    assert "compares with nobody: nothing is in Production since version 2 left it" in told.err


def test_that_nobody_knows_the_champions_gates_is_on_the_ledger_with_the_move(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    moving.again(at)
    moving.promote(at, 2)  # past the gates, so no run holds them
    gates = {"production": [{"metric": "roc_auc", "minimum": 0.1}]}
    moving.task_in(task.parent, split={"by": "hash", "salt": "again"}, gates=gates)
    done = ratchet("promote", "-c", task)
    assert done.code == 0, done.err
    why = ratchet("ledger", "-c", task, "--json").json["entries"][-1]["why"]
    assert "the champion's gates are not known: the run that brought version 2 to Production has no record" in why


def test_who_approves_that_trust_is_loosened_is_verified(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tracking.identity(moving.session(task).settings)

    def work_as(account: str, person: str) -> None:
        monkeypatch.setattr(tracking, "identity", lambda _: known | {"account": account, "person": person})

    moving.task_in(task.parent, approvals={"production": 1})
    work_as("ada", "ada")
    assert "approvals 0 of 1" in ratchet("promote", "-c", task, "--seed", 8).err
    work_as("bob", "bob")
    assert ratchet("approve", 2, "-c", task, "--comment", "fine").code == 0
    assert ratchet("promote", "-c", task, "--seed", 8).code == 0

    moving.task_in(task.parent, approvals=LOCAL)
    work_as("ada", "ada")
    assert "approvals.trust: verified of the champion is local" in ratchet("promote", "-c", task, "--seed", 9).err
    work_as("", "carol")
    told = ratchet("approve", 3, "-c", task, "--comment", "fine")
    assert "approvals that count now: 0 of 1" in told.out
    assert "carol unverified" in ratchet("promote", "-c", task, "--seed", 9).err
    work_as("bob", "bob")
    assert ratchet("approve", 3, "-c", task, "--comment", "fine").code == 0
    assert ratchet("promote", "-c", task, "--seed", 9).code == 0


def test_an_approval_is_of_what_is_on_record_and_not_of_what_somebody_wrote_there(
    task: Path, ratchet: Ratchet, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.task_in(task.parent, approvals=LOCAL, gates=moving.SMALL["gates"] | {"production": []})
    assert ratchet("promote", "-c", task, "--seed", 8).code == 1
    at = moving.session(task)
    run_id = at.client.get_model_version("small", "2").tags[yardstick.JUDGED_IN]
    file = records.fetch(at.client, run_id, yardstick.FILE)
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["loosened"]["Production"]
    report["loosened"]["Production"] = []
    file.write_text(json.dumps(report), encoding="utf-8")
    moving.as_user(monkeypatch, "bob")
    told = ratchet("approve", 2, "-c", task, "--comment", "fine")
    assert told.code == 1
    assert "is not on record, or was changed; `ratchet promote -c FILE --version 2` judges it again" in told.err
    assert ratchet("promote", "-c", task, "--version", 2).code == 1
    assert "loosened gates.production" in ratchet("approve", 2, "-c", task, "--comment", "fine").out


def test_a_version_that_was_not_judged_or_is_not_there_is_not_approved(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    made = at.client.create_model_version("small", at.client.get_model_version("small", "1").source)
    moving.task_in(task.parent, approvals=LOCAL)
    words = ("-c", task, "--comment", "why not")
    assert "was not judged for Production yet" in ratchet("approve", made.version, *words).err
    assert "there is no version 9" in ratchet("approve", 9, *words).err
    moving.again(at)
    assert "was judged by a file that asks for no approvals" in ratchet("approve", 3, *words).err


# ---------------------------------------------------------------- past the ledger


def test_a_stage_that_was_changed_past_the_ledger_stops_every_move_until_it_is_adopted(
    task: Path, ratchet: Ratchet
) -> None:
    at = moving.session(task)
    moving.again(at)
    moving.edited(at, 2, "Production", archive=True)
    for words in (("promote",), ("rollback",), ("refuse", 2, "--comment", "x")):
        told = ratchet(*words, "-c", task)
        assert told.code == 1
        assert "version 2 is in Production; the ledger has it in None" in told.err
    look = ratchet("reconcile", "-c", task, "--json")
    assert look.code == 1
    found = look.json["differences"]
    assert [(d["version"], d["recorded"], d["found"]) for d in found] == [
        (1, "Production", "Archived"), (2, "None", "Production"),
    ]  # fmt: skip
    told = ratchet("status", "-c", task)
    assert "changed past the ledger: version 2 is in Production; the ledger has it in None" in told.out
    assert "give a reason with --comment" in ratchet("reconcile", "-c", task, "--adopt").err
    assert ratchet("reconcile", "-c", task, "--adopt", "--comment", "the outage of Sunday").code == 0
    assert ratchet("reconcile", "-c", task).out == "small: the registry is as the ledger says\n"
    assert moving.stages(at) == {1: ("Archived", ()), 2: ("Production", ("champion",))}
    assert ratchet("ledger", "--json").json["entries"][-1]["why"] == "the outage of Sunday"
    assert ratchet("rollback", "-c", task, "--json").json == {"task": "small", "from": 2, "to": 1}


def test_a_stage_that_was_changed_past_the_ledger_is_put_back(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    moving.again(at)
    moving.edited(at, 2, "Production")
    assert "versions 2, 1 are all in Production; `ratchet reconcile" in ratchet("evaluate", "-c", task, "--seed", 8).err
    assert ratchet("reconcile", "-c", task, "--revert").code == 0
    assert moving.stages(at) == {1: ("Production", ("champion",)), 2: ("None", ())}
    at.client.set_registered_model_alias("small", "champion", "2")
    assert "version 2 in None bears champion" in ratchet("reconcile", "-c", task).out
    assert ratchet("reconcile", "-c", task, "--revert").code == 0
    assert moving.stages(at) == {1: ("Production", ("champion",)), 2: ("None", ())}


def test_a_version_that_was_deleted_cannot_be_put_back_and_is_adopted(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    moving.promote(at, *moving.again(at))
    at.client.delete_model_version("small", "1")
    assert ratchet("reconcile", "-c", task).out == "version 1 was deleted; it was in Archived\n"
    told = ratchet("reconcile", "-c", task, "--revert")
    assert "version 1 was deleted; it was in Archived, which cannot be undone: give --adopt, with a reason" in told.err
    assert ratchet("reconcile", "-c", task, "--adopt", "--comment", "tidied up").code == 0
    assert ratchet("reconcile", "-c", task).code == 0
    assert "there is no version 1; nothing was changed" in ratchet("rollback", "-c", task).err


def test_a_version_that_was_registered_anew_is_named(task: Path, ratchet: Ratchet) -> None:
    at = moving.session(task)
    at.client.set_model_version_tag("small", "1", "ratchet.manifest", "0" * 64)
    told = ratchet("reconcile", "-c", task)
    assert told.out == "version 1 was registered anew: its model is not the one that was judged\n"


# ---------------------------------------------------------------- the way back


def test_a_model_is_served_on_while_it_is_rolled_back(task: Path, ratchet: Ratchet) -> None:
    assert run("ratchet", "run", "-c", task, "--seed", 8, cwd=task.parent).returncode == 0
    port = free_port()
    server = start("ratchet", "serve", "--bare", "-c", task, "--port", port, cwd=task.parent)
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
        while True:
            assert server.poll() is None and time.monotonic() < deadline
            try:
                assert requests.get(f"{url}/ping", timeout=5).ok
                break
            except requests.ConnectionError:
                time.sleep(0.5)
        rows = {"dataframe_records": [{"age": 41, "late_payments": 1, "gender": "F"}]}
        before = requests.post(f"{url}/invocations", json=rows, timeout=60)
        assert ratchet("rollback", "-c", task, "--json").json == {"task": "small", "from": 2, "to": 1}
        after = requests.post(f"{url}/invocations", json=rows, timeout=60)
        assert before.status_code == after.status_code, before.text
        assert before.json() == after.json()
    finally:
        server.terminate()
        server.wait(30)
    assert ratchet("status", "-c", task, "--json").json["versions"][1]["stage"] == "Production"
