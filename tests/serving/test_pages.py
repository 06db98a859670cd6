"""The pages as HTML, from a gateway that runs, before a tiny model server that gives reasons."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from ratchet.errors import ServerError
from ratchet.serving.apikeys import made
from ratchet.serving.curve import RolloutState
from ratchet.serving.html import HERE, POLICY
from ratchet.serving.routes import Backend, Routes, Signature, Trial
from tests.serving.page_parts import (
    REVIEWS,
    Model,
    Row,
    Site,
    of_text,
    rollout_state,
    site,
    table_task,
    text_backend,
    text_task,
)

EVIL = "<script>alert(1)</script>"
HANGUL_COLUMN = "소득"
TABLE = Signature(
    {"age": ("number", True), HANGUL_COLUMN: ("number", False), "job": ("text", True), EVIL: ("text", False)},
    explains=True,
)
PEOPLE = ({"age": 51.0, HANGUL_COLUMN: 38310.5, "job": "clerk", EVIL: '"><b>'},
          {"age": 43.0, HANGUL_COLUMN: None, "job": "교사", EVIL: None})  # fmt: skip


class Page(HTMLParser):
    """What a page holds: its text, and its elements with their attributes, each well nested."""

    VOID = ("meta", "link", "input", "br", "rect", "line", "polygon", "polyline", "path")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said = ""
        self.feed(html)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}>: an attribute stands twice: {names}"
        self.elements.append((tag, dict(attrs)))
        self.said += " " * (tag in ("th", "td", "dt", "dd", "li"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data

    @property
    def text(self) -> str:
        return " ".join(self.said.split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self) -> dict[str, str]:
        """The form's fields as they are filled in."""
        return {str(it["name"]): it.get("value") or "" for it in self.all("input") if it.get("name")}


def of_person(row: Row) -> Row:
    margin = (row["age"] - 45) / 5
    reasons: list[Row] = [
        {"column": "age", "value": row["age"], "contribution": margin, "toward": "yes" if margin > 0 else "no"},
        {"column": EVIL, "value": row[EVIL], "contribution": 0.1, "toward": "yes", "text": "a word & a sign"},
    ]
    return {"label": "yes" if margin > 0 else "no", "probability": 1 / (1 + 2.718**-margin), "reasons": reasons}


@pytest.fixture(scope="module")
def reader() -> Iterator[Model]:
    model = Model(of_text)
    yield model
    model.close()


@pytest.fixture
def reviews(reader: Model) -> Iterator[Site]:
    with site(text_task(), Routes(champion=text_backend(reader.url)), rollout_state) as running:
        yield running


@pytest.fixture
def people() -> Iterator[Site]:
    model = Model(of_person)
    with site(table_task(), Routes(champion=Backend(2, model.url, TABLE, PEOPLE, ({"label": "no"},)))) as running:
        yield running
    model.close()


def ask(running: Site, text: str, **more: Any) -> requests.Response:
    return requests.post(running.url, data={"cell.document": text}, timeout=20, **more)


def request_of(answer: requests.Response) -> str:
    found = re.search(r'name="request_id" value="([^"]+)"', answer.text)
    assert found
    return found[1]


def test_a_review_is_answered_with_its_words_marked_where_they_stand(reviews: Site) -> None:
    answer = ask(reviews, REVIEWS[0])
    page = Page(answer.text)
    assert answer.status_code == 200
    assert "The answer positive" in page.text and "probability of positive 81.8 %" in page.text
    assert "Version 3, champion" in page.text
    assert re.findall(r'<mark class="([\w ]+)">(.*?)<sup>(.)</sup>', answer.text) == [
        ("up faint", "배우들", "+"), ("up", "최고인데", "+"), ("down faint", "뻔한", "−"), ("down", "아까워요.", "−"),
        ("up", "재미있게", "+"),
    ]  # fmt: skip
    marked = answer.text[answer.text.index('<p class="text"') :]
    marked = marked[: marked.index("</p>")]
    assert re.sub(r"<sup>.</sup>|<[^>]*>", "", marked) == REVIEWS[0]
    assert ("아까워요. negative −1.50") in page.text


def test_the_text_stays_in_the_box_and_is_marked_as_korean(reviews: Site) -> None:
    answer = ask(reviews, "\r\n지루하다\r\n<b>").text
    assert re.search(r'<textarea [^>]*lang="ko"[^>]*>\n\n지루하다\n&lt;b&gt;</textarea>', answer)
    assert 'lang="ko"' not in re.findall(r"<textarea[^>]*>", ask(reviews, "dull").text)[0]


def test_what_is_asked_on_the_page_is_recorded_and_counted_like_any_request(reviews: Site) -> None:
    answer = ask(reviews, REVIEWS[1])
    (call,) = reviews.heard.calls
    assert (call.request_id, call.version, list(call.rows)) == (request_of(answer), 3, [{"document": REVIEWS[1]}])
    metrics = requests.get(f"{reviews.url}/metrics", timeout=20).text
    assert 'ratchet_requests_total{status="200"} 1.0' in metrics
    assert "ratchet_requests_in_flight 0.0" in metrics


def test_right_and_wrong_send_the_label_of_that_request(reviews: Site) -> None:
    answer = ask(reviews, REVIEWS[1])
    buttons = [it.get("value") for it in Page(answer.text).all("button") if it.get("name") == "label"]
    assert buttons == ["0", "1"], "the answer's own label first, then the other one; numbers as the model has them"
    number = request_of(answer)
    told = requests.post(f"{reviews.url}/feedback", data={"request_id": number, "label": "1"}, timeout=20)
    assert f"Noted: positive, for request {number}" in Page(told.text).text
    (outcome,) = reviews.heard.outcomes
    assert (outcome["request_id"], outcome["label"]) == (number, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", outcome["at"])
    assert "ratchet_outcomes_total 1.0" in requests.get(f"{reviews.url}/metrics", timeout=20).text


def test_feedback_for_a_request_that_nobody_knows_is_a_readable_page(reviews: Site) -> None:
    for form, fault in (
        ({"request_id": "x", "label": "1"}, "request_id: is not known"),
        ({"request_id": "x", "label": "{}"}, "the form holds no label"),
        ({"request_id": "x"}, "the form holds no label"),
        ({"request_id": "x", "typed": "many", "is_value": "1"}, "the true value is a number"),
    ):
        told = requests.post(f"{reviews.url}/feedback", data=form, timeout=20)
        assert told.status_code == 400 and fault in Page(told.text).text
        assert told.headers["Content-Security-Policy"] == POLICY


def test_script_in_a_review_is_shown_as_it_was_typed(reviews: Site) -> None:
    text = f"{EVIL} 최고 {EVIL} \" ' & </textarea>"
    answer = ask(reviews, text)
    assert "<script" not in answer.text and text in Page(answer.text).said
    assert {name for name, _ in Page(answer.text).elements}.isdisjoint({"script", "b", "style"})


def test_a_table_s_form_has_a_bound_label_a_kind_and_samples_for_each_column(people: Site) -> None:
    html = requests.get(people.url, timeout=20).text
    page = Page(html)
    inputs = {str(it["name"]): it for it in page.all("input") if str(it.get("name")).startswith("cell.")}
    assert list(inputs) == [f"cell.{name}" for name in TABLE.inputs]
    assert {str(it["id"]) for it in inputs.values()} == {it["for"] for it in page.all("label")}
    assert ["required" in it for it in inputs.values()] == [True, False, True, False]
    assert inputs["cell.age"]["inputmode"] == "decimal" and inputs["cell.job"]["list"] == "field-2-options"
    assert [it["value"] for it in page.all("option")] == ["clerk", "교사", '"><b>']
    assert EVIL not in html and EVIL in page.text, "a column's name is no markup"
    assert '<label for="field-1" lang="ko">소득' in html


def test_a_sample_row_fills_the_form_and_its_answer_says_why(people: Site) -> None:
    filled = Page(requests.get(f"{people.url}/?sample=0", timeout=20).text).values()
    assert list(filled.values()) == ["51", "38310.5", "clerk", '"><b>']
    answer = requests.post(people.url, data=filled, timeout=20)
    page = Page(answer.text)
    assert "defaulted yes" in page.text and "age 51 yes +1.20" in page.text
    assert 'a word & a sign "><b> yes +0.10' in page.text
    assert page.values() | filled == page.values(), "the form stays filled in"
    assert "Right: yes Wrong: it is no" in page.text
    for nonsense in ("9", "-1", "x", "9" * 5_000):
        assert Page(requests.get(people.url, params={"sample": nonsense}, timeout=20).text).values()["cell.age"] == ""


def test_an_empty_field_is_missing_and_a_wrong_one_is_told_beside_it(people: Site) -> None:
    form = {"cell.age": "4_3", f"cell.{HANGUL_COLUMN}": " ", "cell.job": ""}
    answer = requests.post(people.url, data=form, timeout=20)
    page = Page(answer.text)
    assert answer.status_code == 400
    assert "expected a number, got '4_3'" in page.text and page.text.count("is required; it may not be missing") == 1
    wrong = [it for it in page.all("input") if it.get("aria-invalid") == "true"]
    assert [(it["name"], it["aria-describedby"]) for it in wrong] == [
        ("cell.age", "field-0-fault"), ("cell.job", "field-2-fault"),
    ]  # fmt: skip
    assert page.values()["cell.age"] == "4_3"
    for number in ("nan", "inf", "1e999", "1,5"):
        told = requests.post(people.url, data={"cell.age": number, "cell.job": "clerk"}, timeout=20)
        assert told.status_code == 400 and f"got '{number}'" in Page(told.text).text


def test_an_empty_text_is_no_question(reviews: Site) -> None:
    for text in ("", " \n "):
        answer = ask(reviews, text)
        assert answer.status_code == 400 and "is empty" in Page(answer.text).text
    assert not reviews.heard.calls


ALL_PAGES = ["/", "/?sample=0", "/rollout", "/rollout?still", "/docs"]


@pytest.mark.parametrize("path", ALL_PAGES)
@pytest.mark.parametrize("kind", ["reviews", "people"])
def test_every_page_lets_no_script_run_and_names_its_parts(
    path: str, kind: str, request: pytest.FixtureRequest
) -> None:
    running: Site = request.getfixturevalue(kind)
    answer = requests.get(running.url + path, timeout=20)
    assert answer.headers["Content-Security-Policy"] == POLICY and "unsafe" not in POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin" and answer.headers["Cache-Control"] == "no-store"
    page = Page(answer.text)
    assert not page.all("script") and not page.all("style")
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)
    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("header", "main", "footer", "h1", "nav")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {attributes.get("aria-labelledby") or attributes.get("aria-describedby") for _, attributes in page.elements}
    assert named - {None} <= set(ids)


def test_the_style_sheet_is_kept_for_as_long_as_it_stays_the_same(reviews: Site) -> None:
    address = Page(requests.get(reviews.url, timeout=20).text).all("link")[0]["href"]
    answer = requests.get(f"{reviews.url}/{address}", timeout=20)
    assert answer.ok and answer.headers["Content-Type"].startswith("text/css")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert requests.get(f"{reviews.url}/static/../pages.py", timeout=20).status_code == 404


@pytest.mark.parametrize("path", ["/", "/feedback", "/rollout"])
@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://elsewhere.example"},
     {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site", "Origin": "{url}"}],
)  # fmt: skip
def test_a_form_of_another_site_is_refused(reviews: Site, path: str, headers: dict[str, str]) -> None:
    sent = {name: value.format(url=reviews.url) for name, value in headers.items()}
    data = {"cell.document": "x", "request_id": "x", "label": "1"}
    answer = requests.post(reviews.url + path, data=data, headers=sent, timeout=20)
    assert answer.status_code == 403 and "a form of another site" in Page(answer.text).text
    assert not reviews.heard.calls and not reviews.heard.outcomes


def test_a_form_of_its_own_is_taken_also_where_only_the_origin_is_told(reviews: Site) -> None:
    for headers in ({"Origin": reviews.url}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.example"}):
        assert ask(reviews, REVIEWS[1], headers=headers).status_code == 200


def test_only_forms_are_taken(reviews: Site) -> None:
    answer = requests.post(reviews.url, json={"dataframe_records": [{"document": "x"}]}, timeout=20)
    assert answer.status_code == 415 and "programs send JSON to /invocations" in Page(answer.text).text
    many = "&".join(f"a{number}=" for number in range(6_000))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert requests.post(reviews.url, data=many, headers=form, timeout=20).status_code == 400
    assert requests.post(reviews.url, data=b"cell.document=%ff\xff%00", headers=form, timeout=20).status_code == 200
    assert ask(reviews, "x" * 17 * 2**20).status_code == 413
    assert requests.put(reviews.url, timeout=20).status_code == 405


@pytest.fixture
def keyed(reader: Model, tmp_path: Path) -> Iterator[tuple[Site, dict[str, str]]]:
    keys = {scope: made(scope, (scope,)) for scope in ("predict", "outcomes", "admin")}
    file = tmp_path / "keys"
    file.write_text("".join(f"{line}\n" for _, line in keys.values()))
    with site(text_task(), Routes(champion=text_backend(reader.url)), rollout_state, file) as running:
        yield running, {scope: key for scope, (key, _) in keys.items()}


def test_where_keys_are_asked_for_the_form_has_a_field_for_one_that_is_never_told_back(
    keyed: tuple[Site, dict[str, str]],
) -> None:
    running, keys = keyed
    field = next(it for it in Page(requests.get(running.url, timeout=20).text).all("input") if it.get("name") == "key")
    assert (field["type"], field["autocomplete"]) == ("password", "off") and "value" not in field
    asked = {"cell.document": REVIEWS[1]}
    for key, status, why in (
        ("", 401, "no key that is known"), ("rk_wrong", 401, "no key that is known"),
        (keys["outcomes"], 403, "it takes the scope predict"), (keys["predict"], 200, "negative"),
    ):  # fmt: skip
        answer = requests.post(running.url, data=asked | {"key": key}, timeout=20)
        assert answer.status_code == status and why in Page(answer.text).text
        assert REVIEWS[1] in answer.text, "what was typed is still there"
        assert not key or key not in answer.text
    outcome = {"request_id": request_of(answer), "label": "0"}
    assert requests.post(f"{running.url}/feedback", data=outcome, timeout=20).status_code == 401
    told = requests.post(f"{running.url}/feedback", data=outcome | {"key": keys["outcomes"]}, timeout=20)
    assert told.status_code == 200 and len(running.heard.outcomes) == 1


def test_figures_are_for_who_has_the_key_of_an_admin(keyed: tuple[Site, dict[str, str]]) -> None:
    running, keys = keyed
    address = f"{running.url}/rollout"
    closed = requests.get(address, timeout=20)
    assert closed.status_code == 401 and "version 4" not in closed.text and "refresh" not in closed.text
    assert requests.post(address, data={"key": keys["predict"]}, timeout=20).status_code == 403
    shown = requests.post(address, data={"key": keys["admin"]}, timeout=20)
    assert shown.status_code == 200 and "Rollout 3: version 4 beside version 3" in Page(shown.text).text
    assert "refresh" not in shown.text and keys["admin"] not in shown.text
    bearer = {"Authorization": f"Bearer {keys['admin']}"}
    assert requests.get(address, headers=bearer, timeout=20).status_code == 200


def test_the_rollout_s_page_has_its_curve_and_the_same_figures_in_a_table(reviews: Site) -> None:
    for text in REVIEWS[:3]:
        ask(reviews, text)
    html = requests.get(f"{reviews.url}/rollout", timeout=20).text
    page = Page(html)
    assert {"http-equiv": "refresh", "content": "5"} in page.all("meta")
    assert not [it for it in Page(requests.get(f"{reviews.url}/rollout?still", timeout=20).text).all("meta")
                if "http-equiv" in it]  # fmt: skip
    points = [tuple(map(float, pair.split(","))) for pair in str(page.all("polyline")[0]["points"]).split()]
    assert len(points) == 60 and points == sorted(points, key=lambda point: point[0])
    assert all(0 <= x <= 720 and 0 <= y <= 320 for x, y in points)
    last = rollout_state()["looks"][-1]
    row = f"{last['at'][:10]} {last['at'][11:19]} 20 % 21200 + 2800 {last['difference']:.4f}".replace("-0.", "−0.")
    assert row in page.text
    assert "The newest 20 of 60 looks" in page.text
    assert re.search(r"3 champion 3 negative: 1 33.3 % positive: 2 66.7 % none", page.text)
    assert re.findall(r'<li aria-current="step">(.*?)</li>', html) == ["20 %"]


def _state(**more: Any) -> RolloutState:
    return rollout_state(6) | more  # type: ignore[return-value]


NOTHING_YET = {"at": "2026-05-03T09:00:00.000000Z", "rows": [0, 0], "difference": None, "low": None, "high": None,
               "percent": 5}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (None, "Version 3 answers everybody"),
        (_state(looks=[], state="waiting"), "waiting"),
        (_state(looks=[NOTHING_YET]), "The curve begins with the second look"),
        (_state(looks=[NOTHING_YET] * 2), "2026-05-03 09:00:00 5 % 0 + 0 – – –"),
        (_state(looks=[NOTHING_YET | {"difference": float("nan"), "low": -float("inf"), "high": 1.0}] * 3), "–"),
        (_state(looks=rollout_state(2)["looks"], reasons=[EVIL], metric=EVIL, state="aborted", verdict="abort"), EVIL),
        (_state(arms={"champion": {"rows": 0, "outcomes": 0, "loss": None, "errors": 0, "latency_ms": None}}), "– 0 –"),
    ],
)  # fmt: skip
def test_a_rollout_of_any_kind_is_shown(reader: Model, state: RolloutState | None, told: str) -> None:
    with site(text_task(), Routes(champion=text_backend(reader.url)), lambda: state) as running:
        answer = requests.get(f"{running.url}/rollout", timeout=20)
    assert answer.status_code == 200 and told in Page(answer.text).text
    assert EVIL not in answer.text


def test_a_database_that_is_away_does_not_take_the_counts_along(reader: Model) -> None:
    def away() -> RolloutState | None:
        raise ServerError("RATCHET_DATABASE_URL: the database does not answer")

    with site(text_task(), Routes(champion=text_backend(reader.url)), away) as running:
        answer = requests.get(f"{running.url}/rollout", timeout=20)
    assert answer.status_code == 200
    assert "the database does not answer" in answer.text and "Since this gateway started" in answer.text


def test_without_a_model_the_pages_say_so(reader: Model) -> None:
    with site(text_task(), Routes()) as running:
        for path, status in (("/", 503), ("/rollout", 200), ("/docs", 200)):
            answer = requests.get(running.url + path, timeout=20)
            assert answer.status_code == status and "No model answers" in answer.text.replace("no model", "No model")
        assert requests.get(running.url, timeout=20).headers["Retry-After"] == "2"
        assert ask(running, "x").status_code == 503


def test_a_model_that_fails_is_told_with_the_request_s_id_and_the_text_stays() -> None:
    def fails(row: Row) -> Row:
        raise ValueError

    model = Model(fails)
    with site(text_task(serving={"timeout_s": 0.5}), Routes(champion=text_backend(model.url))) as running:
        answer = ask(running, "지루하다")
        assert (
            answer.status_code in (500, 503, 504)
            and "No answer." in answer.text
            and "지루하다</textarea>" in answer.text
        )
        (call,) = running.heard.calls
        assert call.request_id in answer.text
    model.close()


def test_a_challenger_that_gives_no_reasons_is_not_asked_for_any(reader: Model) -> None:
    bare = Signature({"document": ("text", True)})
    challenger = Backend(4, reader.url, bare)
    routes = Routes(text_backend(reader.url), challenger, Trial(1, "salt", 100))
    reader.bodies.clear()
    with site(text_task(), routes) as running:
        assert "Version 4, challenger" in Page(ask(running, "dull").text).text
    assert [sorted(body) for body in reader.bodies] == [["dataframe_split"]]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([{"label": "yes"}, {"label": "no"}], ["probability of defaulted yes 30.0 %", "Right: no Wrong: it is yes"]),
        ([], ["probability of defaulted the second class 30.0 %", "Right: no", "Wrong: what is true"]),
    ],
)
def test_of_two_classes_of_which_none_is_named_the_page_says_what_is_known(answers: list[Row], told: list[str]) -> None:
    source = {"applicants": {"uris": ["applicants.csv"]}}
    task = table_task(data={"sources": source, "target": "defaulted"})
    model = Model(lambda row: {"label": "no", "probability": 0.3})
    with site(task, Routes(champion=Backend(2, model.url, TABLE, PEOPLE, tuple(answers)))) as running:
        page = Page(requests.post(running.url, data={"cell.age": "5", "cell.job": "clerk"}, timeout=20).text)
    model.close()
    for sentence in told:
        assert sentence in page.text


def test_of_several_classes_any_other_may_be_true_and_of_a_value_another_one() -> None:
    spread = {"new": 0.2, "renewed": 0.7, "이탈": 0.1}
    for answer, word, choices in (
        ({"label": "renewed", "probabilities": spread}, "renewed", ["Right: renewed", "It is new", "It is 이탈"]),
        ({"value": 12345.678, "reasons": []}, "12,345.7", ["The true value"]),
    ):
        model = Model(lambda row, answer=answer: answer)  # type: ignore[misc]
        with site(table_task(), Routes(champion=Backend(2, model.url, TABLE, PEOPLE))) as running:
            told = requests.post(running.url, data={"cell.age": "5", "cell.job": "clerk"}, timeout=20)
            page = Page(told.text)
            assert word in page.text and all(choice in page.text for choice in choices)
            sent = {"label": '"이탈"'} if "label" in answer else {"typed": "12000.5", "is_value": "1"}
            form = {"request_id": request_of(told)} | sent
            assert requests.post(f"{running.url}/feedback", data=form, timeout=20).status_code == 200
            assert running.heard.outcomes[0]["label"] in ("이탈", 12000.5)
        model.close()


def test_the_curl_lines_of_the_docs_work_as_they_stand(people: Site, tmp_path: Path) -> None:
    import subprocess

    html = requests.get(f"{people.url}/docs", timeout=20).text
    lines = Page(html.replace("<code>", "<code>\x01").replace("</code></pre>", "\x02</code></pre>")).said
    found = [line for line in re.findall("\x01([^\x01\x02]*)\x02", lines) if "/invocations" in line]
    assert len(found) == 4
    for line in found:
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20, check=True)
        assert json.loads(done.stdout)["predictions"][0]["label"] == "yes", line


def test_the_docs_name_fields_and_problems(people: Site) -> None:
    page = Page(requests.get(f"{people.url}/docs", timeout=20).text)
    for row in ("age number yes", f"{HANGUL_COLUMN} number no", f"{EVIL} text no", "413 the body is too large",
                "POST /invocations Answer rows."):  # fmt: skip
        assert row in page.text
    assert {"href": "openapi.json"} in page.all("a")


def test_every_colour_stands_out_from_its_ground_by_day_and_by_night() -> None:
    """Source: WCAG 2.2, 1.4.3 (text, 4.5) and 1.4.11 (marks and edges of controls, 3)."""
    css = (HERE / "static" / "page.css").read_text()
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in css.split("@media (prefers-color-scheme")[:2]
    ]
    schemes[1] = dict(re.findall(r"--([\w-]+): (#\w{6})", css.split("prefers-color-scheme: dark")[1].split("* {")[0]))

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    text = [(ink, ground) for ink in ("ink", "quiet", "strong", "bad", "good") for ground in ("paper", "card")]
    text += [("on-strong", "strong"), ("ink", "up-ground"), ("ink", "down-ground"), ("ink", "bad-ground"),
             ("ink", "good-ground"), ("up", "up-ground"), ("down", "down-ground")]  # fmt: skip
    marks = [("edge", "paper"), ("edge", "card"), ("up", "card"), ("down", "card")]
    for scheme in schemes:
        for pairs, least in ((text, 4.5), (marks, 3.0)):
            for one, other in pairs:
                low, high = sorted((light(scheme[one]), light(scheme[other])))
                assert (high + 0.05) / (low + 0.05) >= least, (one, other)
