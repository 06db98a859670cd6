"""The pages in a real browser, before models that are really served: by mouse, by keyboard, on a phone."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ratchet import taskfile
from ratchet.config.task import Problem
from ratchet.serving.routes import Routes
from tests.end_to_end.conftest import Served, table_model, text_model  # noqa: F401
from tests.serving.page_parts import Site, backend_of, rollout_state, site

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
# Set it to docs/images to take the README's pictures anew; a Korean font has to be there.
PICTURES = os.environ.get("RATCHET_PICTURES")
WIDE, PHONE = {"width": 900, "height": 700}, {"width": 360, "height": 740}
REVIEW = "배우들 연기가 훌륭했다. 스토리가 조금 지루하지만 또 보고 싶은 감동적인 영화"
EVIL = "<script>document.title = 'taken'; alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages of which none may run script, or ask for what the policy forbids."""
    faults: list[str] = []

    def opened(**how: object) -> Page:
        page = browser.new_context(**({"viewport": WIDE} | how)).new_page()  # type: ignore[arg-type]
        page.set_default_timeout(20_000)
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Refused" in said.text else None)
        page.on("requestfailed", lambda request: faults.append(f"{request.url}: {request.failure}"))
        return page

    yield opened
    assert not faults


@pytest.fixture(scope="module")
def reviews(text_model: Served) -> Iterator[Site]:  # noqa: F811
    backend = backend_of(text_model)
    asked = Problem(question="Does this reviewer like the film?")
    task = taskfile.load(str(text_model.config)).model_copy(update={"problem": asked})
    with site(task, Routes(champion=backend), rollout_state) as running:
        yield running


@pytest.fixture(scope="module")
def applicants(table_model: Served) -> Iterator[Site]:  # noqa: F811
    with site(taskfile.load(str(table_model.config)), Routes(champion=backend_of(table_model))) as running:
        yield running


def pictured(page: Page, name: str, tmp_path: Path) -> None:
    page.screenshot(path=Path(PICTURES or tmp_path) / f"{name}.png", full_page=True)


def test_a_korean_review_is_typed_answered_and_said_to_be_right(
    opened: Callable[..., Page], reviews: Site, tmp_path: Path
) -> None:
    page = opened()
    page.goto(reviews.url)
    page.get_by_label("Your text").fill(REVIEW)
    page.get_by_role("button", name="Read it").click()
    answer = page.get_by_role("region", name="The answer")
    expect(answer).to_contain_text("The answer positive")
    expect(answer).to_contain_text("probability of positive")
    expect(answer).to_contain_text("Version 1, champion")
    expect(page.get_by_label("Your text")).to_have_value(REVIEW)
    if reviews.door.gateway.routes.champion.signature.explains:  # type: ignore[union-attr]
        marked = [mark.replace("+", "").replace("−", "") for mark in answer.locator("mark").all_inner_texts()]
        assert marked and all(word in REVIEW for word in marked)
        assert answer.get_by_role("rowheader").count()
    pictured(page, "page", tmp_path)
    number = answer.locator("code").inner_text()
    answer.get_by_role("button", name="Right: positive").click()
    expect(page.get_by_role("status")).to_contain_text(f"Noted: positive, for request {number}")
    assert [(it["request_id"], it["label"]) for it in reviews.heard.outcomes] == [(number, 1)]
    page.get_by_role("link", name="Rollout").click()
    expect(page.locator("dl div").filter(has_text="Outcomes that came in and were new")).to_contain_text("1")


def test_script_in_a_review_is_text(opened: Callable[..., Page], reviews: Site) -> None:
    page = opened()
    page.goto(reviews.url)
    page.get_by_label("Your text").fill(EVIL)
    page.get_by_role("button", name="Read it").click()
    expect(page.get_by_role("region", name="The answer")).to_be_visible()
    expect(page.get_by_label("Your text")).to_have_value(EVIL)
    assert page.title().startswith("Try it") and not page.locator("script, img").count()


def tab_to(page: Page, selector: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"no Tab leads to {selector}")


def test_the_keyboard_alone_asks_and_answers_back(opened: Callable[..., Page], reviews: Site) -> None:
    page = opened()
    page.goto(reviews.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab_to(page, "textarea")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    page.keyboard.type("시간이 아까운 영화")
    tab_to(page, "button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="The answer")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Wrong: it is positive"
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Noted: positive")
    assert reviews.heard.outcomes[-1]["label"] == 1


def test_a_sample_row_is_filled_in_changed_and_answered(
    opened: Callable[..., Page], applicants: Site, tmp_path: Path
) -> None:
    page = opened()
    page.goto(applicants.url)
    page.get_by_role("button", name="Sample row 2").click()
    age = page.get_by_role("textbox", name="age required")
    expect(age).not_to_have_value("")
    age.fill("many")
    page.get_by_role("button", name="Answer").click()
    expect(page.get_by_role("alert")).to_contain_text("Please look at the fields that are marked")
    expect(age).to_have_attribute("aria-invalid", "true")
    age.fill("44")
    page.get_by_role("button", name="Answer").click()
    answer = page.get_by_role("region", name="defaulted")
    expect(answer).to_contain_text("probability of defaulted 1")
    page.screenshot(path=tmp_path / "table.png", full_page=True)
    answer.get_by_role("button", name="Wrong").click()
    expect(page.get_by_role("status")).to_contain_text("Noted")
    assert applicants.heard.outcomes[-1]["label"] in (0, 1)
    assert applicants.heard.calls[-1].rows[0]["age"] == 44


def test_a_required_field_that_is_empty_is_told_by_the_browser_itself(
    opened: Callable[..., Page], applicants: Site
) -> None:
    page, before = opened(), len(applicants.heard.calls)
    page.goto(applicants.url)
    page.get_by_role("button", name="Answer").click()
    assert page.locator("input:invalid").count() and len(applicants.heard.calls) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["reviews", "applicants"])
def test_nothing_is_wider_than_a_phone(
    opened: Callable[..., Page], kind: str, scheme: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    running: Site = request.getfixturevalue(kind)
    page = opened(viewport=PHONE, color_scheme=scheme)
    for path in ("/?sample=0", "/rollout?still", "/docs", "/nothing-here"):
        page.goto(running.url + path)
        if path.startswith("/?"):
            page.locator("button.main").click()
            expect(page.locator("#answer")).to_be_visible()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], f"{path} is {width} px wide"
        page.screenshot(path=tmp_path / f"phone{path.strip('/?').replace('?', '-')}.png", full_page=True)
    page.goto(running.url)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")


def test_a_rollout_s_curve_is_drawn(opened: Callable[..., Page], reviews: Site, tmp_path: Path) -> None:
    page = opened()
    page.goto(f"{reviews.url}/rollout?still")
    curve = page.get_by_role("img", name="Difference in mean loss")
    box = curve.bounding_box()
    assert box and box["width"] > 700 and box["height"] > 250
    page.get_by_text("The curve in figures").click()
    expect(page.get_by_role("table", name="The newest 20 of 60 looks")).to_be_visible()
    page.get_by_text("The curve in figures").click()
    page.screenshot(
        path=Path(PICTURES or tmp_path) / "rollout.png",
        clip={"x": 0, "y": 0, "width": 900, "height": 1015},
        full_page=True,
    )
    with page.expect_navigation(timeout=15_000):
        page.get_by_role("link", name="follow it").click()
    with page.expect_navigation(timeout=15_000):  # by itself
        pass


def test_another_site_s_form_posts_no_outcome(opened: Callable[..., Page], reviews: Site) -> None:
    form = (
        f'<form method="post" action="{reviews.url}/feedback"><input name="request_id" value="x">'
        '<input name="label" value="1"><button>Win a prize</button></form>'
    ).encode()

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(form)

        def log_message(self, *_: object) -> None: ...

    elsewhere, before = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere), len(reviews.heard.outcomes)
    threading.Thread(target=elsewhere.serve_forever, args=(0.01,), daemon=True).start()
    page = opened()
    page.goto(f"http://localhost:{elsewhere.server_address[1]}/")
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("a form of another site is not taken")
    assert len(reviews.heard.outcomes) == before
    elsewhere.shutdown()
    elsewhere.server_close()
