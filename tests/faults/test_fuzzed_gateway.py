"""Whatever is sent to the gateway: no 5xx, no 200 for a body that its own OpenAPI refuses, and others are served on."""

import json
import statistics
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.end_to_end.commands import ROOT
from tests.faults.counts import times
from tests.serving.parts import apart

CASES, BODIES = times(300, 10_000), times(600, 10_000)  # of schemathesis, half of them valid; of hypothesis
ROW = {"x": 0.5, "note": "서울"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with apart() as found:  # its times are to be its own, and not those of whoever thinks the cases up
        yield found


def quiet(most: int) -> Any:
    """Settings of a run whose cases are many and not kept."""
    return settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate],
                    database=None)  # fmt: skip


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_what_openapi_says_of_a_body_is_what_the_gateway_says(url: str, mode: GenerationMode) -> None:
    schema, seen = schemathesis.openapi.from_url(f"{url}/openapi.json"), Counter[int]()
    (asked,) = [found.ok() for found in schema.get_all_operations() if found.ok().label == "POST /invocations"]

    @given(case=asked.as_strategy(generation_mode=mode))
    @quiet(CASES // 2)
    def send(case: Any) -> None:
        answer = case.call(base_url=url)
        seen[answer.status_code] += 1
        case.validate_response(answer)  # among others: no 5xx, no 200 for what is invalid, no 4xx for what is valid

    send()
    print(f"schemathesis, {mode.value}: {dict(seen)}")
    assert sum(seen.values()) >= CASES // 2
    assert not [status for status in seen if status >= 500]


VALID = json.dumps({"dataframe_records": [ROW]})
PIECES = st.sampled_from(['"', "{", "}", "[", "]", ",", ":", "null", "NaN", "1e999", "-", "\\u", "\ud83c", "\x00", "x",
                          '"x":', "9" * 400, "[" * 2_000, '"dataframe_records"', "true", " ", "서"])  # fmt: skip


@st.composite
def broken(draw: Any) -> bytes:
    """A good body of which a part is replaced, repeated, or cut."""
    text = VALID
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + draw(PIECES | st.just(text[start:end] * 2)) + text[end:]
    return text.encode("utf-8", draw(st.sampled_from(["surrogatepass", "replace"])))


KINDS = st.sampled_from(["application/json"] * 6 + ["text/csv", "application/vnd.apache.parquet", "text/plain", ""])


def test_broken_bodies_of_any_kind_are_refused_and_others_are_served_on(url: str) -> None:
    before, seen, during, over = others(url), Counter[int](), list[dict[str, float]](), threading.Event()

    def measure() -> None:
        while not over.is_set():
            during.append(others(url))

    @given(body=broken() | st.binary(max_size=200), kind=KINDS)
    @quiet(BODIES)
    def send(body: bytes, kind: str) -> None:
        answer = requests.post(f"{url}/invocations", data=body, headers={"Content-Type": kind}, timeout=10)
        seen[answer.status_code] += 1
        assert answer.status_code in (200, 400, 413, 415)
        if answer.status_code == 200 and kind == "application/json":
            is_valid(body)

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        send()
    finally:
        over.set()
        thread.join()
    p99_ms = statistics.median(each["p99_ms"] for each in during)
    print(
        f"broken bodies: {dict(seen)}; p99 of valid requests {before['p99_ms']:.1f} ms before, {p99_ms:.1f} meanwhile"
    )
    assert seen[400] > BODIES / 2
    assert not [each for each in during if each["failed"]]


def is_valid(body: bytes) -> None:
    """Fail where a body that was answered is none, by the standard library and the signature."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return dict(pairs)

    document = json.loads(body.decode(), object_pairs_hook=once)
    rows = document.get("dataframe_records")
    assert rows and set(document) <= {"dataframe_records", "params"}
    for row in rows:
        assert set(row) <= {"x", "note", "who"}
        assert type(row["x"]) in (int, float) and abs(row["x"]) < float("inf")
        assert row.get("note") is None or type(row["note"]) in (str, float)


def others(url: str) -> dict[str, float]:
    """The times of 1,000 valid requests, 50 a second (in CI 100), sent by a process of its own."""
    words = [sys.executable, ROOT / "benchmarks" / "load.py", f"{url}/invocations", VALID, "50", str(times(100, 1_000))]
    return dict(json.loads(subprocess.run(words, capture_output=True, check=True).stdout))
