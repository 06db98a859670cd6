"""The ledger by its commands: who was where and when, whatever is done to it named, and who is told."""

import hashlib
import hmac
import json
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ratchet.adapters import keys, webhook
from ratchet.core.ledger import Entry, hashed
from ratchet.errors import RatchetError
from ratchet.settings import Settings
from ratchet.steps import chronicle
from tests import moving
from tests.conftest import Told
from tests.end_to_end.commands import environment, run
from tests.web import Server, say

MOVES = 50
KEY = "11" * 32


@pytest.fixture(scope="module")
def signed_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a ledger that is signed from its first entry."""
    place = tmp_path_factory.mktemp("signed")
    env = environment(**{keys.PRIVATE: KEY})
    assert run("ratchet", "run", "-c", moving.task_in(place), cwd=place, env=env).returncode == 0
    return place


@pytest.fixture
def task(store: Path, workplace: Path) -> Path:
    """The task in an empty folder, with a store like that of `store`."""
    return moving.copied(store, workplace)


def now() -> str:
    return datetime.now(UTC).isoformat()


# ---------------------------------------------------------------- who was where


def test_who_was_in_production_at_any_time_of_a_long_history(task: Path, ratchet: Callable[..., Told]) -> None:
    at, chance = moving.session(task), random.Random(5)
    fresh = moving.again(at, MOVES)
    seen: list[tuple[str, int]] = []
    while len(seen) < MOVES:
        try:
            if chance.random() < 0.6:
                moving.promote(at, fresh.pop(0))
            else:
                moving.back(at)
        except RatchetError:  # the first champion has none before it
            continue
        seen.append((now(), *moving.in_production(at)))
    for moment, champion in seen:
        (found,) = ratchet("ledger", "--at", moment, "--json").json["versions"]
        assert (found["task"], found["stage"], found["version"]) == ("small", "Production", champion)
    assert ratchet("ledger", "--at", "2020-01-01", "--json").json["versions"] == []
    assert "nothing was in Staging or Production" in ratchet("ledger", "--at", "2020-01-01").out
    wrong = ratchet("ledger", "--at", "yesterday")
    assert (wrong.code, wrong.err) == (1, "ratchet: --at 'yesterday': no time; write it as 2026-05-03T14:00Z\n")


def test_the_ledger_says_who_what_and_why(
    task: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    moving.as_user(monkeypatch, "ada")
    at = moving.session(task)
    moving.promote(at, *moving.again(at))
    assert ratchet("rollback", "-c", task, "--comment", "complaints from the branches").code == 0
    entry = ratchet("ledger", "-c", task, "--json").json["entries"][-1]
    assert (entry["action"], entry["version"], entry["replaced"], entry["person"]) == ("rollback", 1, 2, "ada")
    assert entry["why"] == "complaints from the branches"
    assert len(entry["manifest"]) == len(entry["hash"]) == 64
    assert "complaints from the branches" in ratchet("ledger").out
    exported = ratchet("ledger", "export").out.splitlines()
    assert json.loads(exported[-1]) == entry
    page = at.client.get_model_version("small", "1").description
    assert f"Ledger entry {entry['sequence']}" in page and "rollback" in page
    assert "in its place" in at.client.get_model_version("small", "2").description


# ---------------------------------------------------------------- whatever is done to it


def entries(settings: Settings) -> list[Entry]:
    return chronicle.all_entries(settings)


def written(found: list[Entry]) -> None:
    """Write the table anew, past the triggers, as whoever has the file can."""
    with closing(sqlite3.connect(".ratchet/ratchet.db")) as database, database:
        database.execute("DROP TRIGGER IF EXISTS ledger_no_update")
        database.execute("DROP TRIGGER IF EXISTS ledger_no_delete")
        database.execute("DELETE FROM ledger")
        for entry in found:
            row = entry.flat()
            places = ", ".join("?" * len(row))
            database.execute(f"INSERT INTO ledger ({', '.join(row)}) VALUES ({places})", list(row.values()))


def rechained(found: list[Entry], key: Any = None) -> list[Entry]:
    """The entries with hashes that fit, signed by a key of one's own."""
    made: list[Entry] = []
    for entry in found:
        plain = replace(entry, previous=made[-1].hash if made else "0" * 64, sequence=len(made) + 1)
        made.append(chronicle._signed(hashed(plain), key))
    return made


def altered(found: list[Entry]) -> list[Entry]:
    return [*found[:2], replace(found[2], change=replace(found[2].change, version=9)), *found[3:]]


def other_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


TAMPERINGS: dict[str, tuple[Callable[[list[Entry]], list[Entry]], str]] = {
    "an entry is changed": (altered, "entry 3: changed: its hash is not that of what it says"),
    "an entry is removed": (lambda e: e[:2] + e[3:], "entry 3: removed: the next one that is there is 4"),
    "the first one is removed": (lambda e: e[1:], "entry 1: removed: the next one that is there is 2"),
    "two change places": (
        lambda e: [*e[:1], replace(e[2], sequence=2), replace(e[1], sequence=3), *e[3:]],
        "entry 2: reordered: it was written as entry 3",
    ),
    "one is changed and all hashes after it": (lambda e: rechained(altered(e)), "entry 3: forged: its key"),
    "one is changed and all signed by another key": (
        lambda e: rechained(altered(e), other_key()), "entry 1: forged: its key",
    ),
    "one is removed and all hashes after it": (lambda e: rechained(e[:2] + e[3:]), "entry 3: forged: its key"),
    "a signature is another one's": (
        lambda e: [*e[:1], replace(e[1], signature=e[0].signature), *e[2:]], "entry 2: forged: its key",
    ),
    "a signature is taken off": (lambda e: [*e[:1], replace(e[1], signature="", key=""), *e[2:]], "entry 2: unsigned"),
    "the last one is cut off": (lambda e: e[:-1], "entry {last}: cut off: "),
    "all are cut off": (lambda e: [], "entry 1: cut off: "),
    "it is written anew by who has the key": (
        lambda e: rechained(altered(e), keys.signer()), "entry 3: written anew: ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERINGS)
def test_whatever_is_done_to_the_ledger_the_first_bad_entry_is_named(
    how: str, signed_store: Path, workplace: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = moving.session(moving.copied(signed_store, workplace))
    monkeypatch.setenv(keys.PRIVATE, KEY)
    moving.promote(at, *moving.again(at))
    found = entries(at.settings)
    assert ratchet("ledger", "verify").out == f"{len(found)} entries, {len(found)} of them signed: whole\n"
    tamper, told = TAMPERINGS[how]
    written(tamper(found))
    said = ratchet("ledger", "verify")
    assert said.code == 1
    assert said.err.startswith(f"ratchet: ledger: {told.format(last=len(found))}")
    assert ratchet("ledger", "verify", "--json").json["error"] == said.err.removeprefix("ratchet: ").strip()


def test_the_table_itself_refuses_changes(task: Path) -> None:
    with closing(sqlite3.connect(".ratchet/ratchet.db")) as database:
        for statement in ("UPDATE ledger SET why = 'x'", "DELETE FROM ledger"):
            with pytest.raises(sqlite3.IntegrityError, match="the ledger is only appended to"):
                database.execute(statement)


def test_an_embedded_ledger_says_that_it_is_unsigned(task: Path, ratchet: Callable[..., Told]) -> None:
    assert "unsigned: whoever can write to the database can write all of it anew" in ratchet("ledger", "verify").out


# ---------------------------------------------------------------- keys


def test_a_key_is_made_once_read_by_its_owner_alone_and_signs(
    task: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ratchet("ledger", "key", "ledger.key")
    assert told.code == 0
    assert os.stat("ledger.key").st_mode & 0o777 == 0o600
    assert "is there already; a key is never written over" in ratchet("ledger", "key", "ledger.key").err
    monkeypatch.setenv(keys.PRIVATE, "ledger.key")
    at = moving.session(task)
    moving.promote(at, *moving.again(at))
    assert "whole" in ratchet("ledger", "verify").out, "it began without a key, and goes on with it"
    public = told.out.rpartition("=")[2].strip()
    monkeypatch.delenv(keys.PRIVATE)
    monkeypatch.setenv(keys.TRUSTED, public)
    entry = entries(at.settings)[-1]
    assert keys.is_signed(keys.trusted()[entry.key], entry.signature, entry.hash)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (keys.PRIVATE, "nowhere/key", "RATCHET_LEDGER_KEY (nowhere/key): neither 64 hex digits nor a file with them"),
        (keys.PRIVATE, "12ab", "RATCHET_LEDGER_KEY (its value): neither 64 hex digits nor a file with them"),
        (keys.PRIVATE, "small.yaml", "RATCHET_LEDGER_KEY: is no Ed25519 key; `ratchet ledger key FILE` makes one"),
        (keys.TRUSTED, "12" * 32 + " 34", "RATCHET_LEDGER_TRUST: '34' is no public key of 64 hex digits"),
    ],
)
def test_what_is_no_key_is_told_without_showing_it(
    name: str, value: str, told: str, task: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    said = ratchet("ledger", "verify")
    assert said.code == 1
    assert told in said.err
    assert len(said.err.splitlines()) == 1


# ---------------------------------------------------------------- who is told


def test_each_entry_is_told_in_order_at_least_once_and_signed(
    task: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "WAIT_S", 0.01)
    taken: list[dict[str, Any]] = []
    refusing = True

    def answer(handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        expected = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
        assert handler.headers["X-Ratchet-Signature"] == f"sha256={expected}"
        assert handler.headers["X-Ratchet-Id"] == json.loads(body)["hash"]
        if not refusing:
            taken.append(json.loads(body))
        say(handler, 503 if refusing else 204, b"")

    with closing(Server()) as server:
        server.answers = [answer] * 100
        monkeypatch.setenv(webhook.URL, server.url)
        monkeypatch.setenv(webhook.SECRET, "secret")
        at = moving.session(task)
        before = len(entries(at.settings))
        (number,) = moving.again(at)
        moving.promote(at, number, "Staging")
        assert moving.stages(at)[number][0] == "Staging", "a move does not wait for who is told of it"
        refusing = False
        moving.promote(at, number)
    assert [row["sequence"] for row in taken] == [e.sequence for e in entries(at.settings)[before:]]


@pytest.mark.parametrize(
    ("url", "secret", "told"),
    [
        ("http://example.org/hook", "s", "RATCHET_WEBHOOK_URL (http://example.org): give an https:// address"),
        (
            "https://example.org/hook",
            "",
            "RATCHET_WEBHOOK_SECRET: unset; what is sent to RATCHET_WEBHOOK_URL is",
        ),
    ],
)
def test_a_mistake_in_who_is_told_is_said_before_anything_moves(
    url: str, secret: str, told: str, task: Path, ratchet: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = moving.session(task)
    moving.promote(at, *moving.again(at))
    before = entries(at.settings)
    monkeypatch.setenv(webhook.URL, url)
    monkeypatch.setenv(webhook.SECRET, secret)
    said = ratchet("rollback", "-c", task)
    assert said.code == 1
    assert told in said.err
    assert entries(at.settings) == before
