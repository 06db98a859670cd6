"""A gateway whose only version is withdrawn, by the commands that people type: the rule answers, and a line says so."""

import json
import time
from pathlib import Path
from typing import Any

import requests

from tests import moving
from tests.end_to_end.commands import environment, run, start
from tests.end_to_end.test_serve import APPLICANT

BODY = {"instances": [APPLICANT | {"utilisation": 0.95, "applicant_id": "k7"}]}
REASON = "it approves everybody"


def ask(url: str) -> requests.Response:
    return requests.post(f"{url}/invocations", json=BODY, timeout=30)


def until_answered(url: str, header: str, value: str, limit_s: float = 120) -> None:
    began = time.monotonic()
    while ask(url).headers[header] != value:
        assert time.monotonic() - began < limit_s, "it never came to that"
        time.sleep(0.2)


def test_the_rule_answers_from_a_withdrawal_on_and_after_a_restart_until_a_version_is_back(
    store: Path, workplace: Path
) -> None:
    moving.copied(store, workplace)
    sections: dict[str, Any] = {"problem": {"rule": "utilisation > 0.9"}, "serving": {"fallback": "rule"}}
    task = moving.task_in(workplace, **sections)
    words = ("ratchet", "serve", "-c", task, "--port", "0", "--json")
    env = environment(RATCHET_LOG=f"json:{workplace / 'log'}")

    for is_first in (True, False):
        server = start(*words, cwd=workplace, env=env)
        try:
            assert server.stdout
            url = next(json.loads(line)["url"] for line in server.stdout if line.startswith("{"))
            if is_first:
                assert ask(url).headers["X-Model-Version"] == "1"
                done = run("ratchet", "withdraw", "-c", task, "--reason", REASON, cwd=workplace)
                assert done.returncode == 0, done.stderr
                until_answered(url, "X-Arm", "rule", 10)
            answer = ask(url)
            assert answer.json() == {"predictions": [{"label": 1, "probability": None, "fallback": "rule"}]}
            assert REASON not in answer.text
            if not is_first:
                back = run("ratchet", "rollback", "-c", task, "--to", 1, "--comment", "a false alarm", cwd=workplace)
                assert back.returncode == 0, back.stderr
                until_answered(url, "X-Model-Version", "1")
        finally:
            server.terminate()
            server.wait(60)
    lines = [json.loads(line) for line in (workplace / "log").read_text().splitlines()]
    asked = [line for line in lines if line["path"] == "/invocations"]
    assert {line["arm"] for line in asked} == {"champion", "rule"}
    assert all(line["status"] == 200 for line in asked), "nobody was refused meanwhile"
    assert "k7" not in (workplace / "log").read_text()
