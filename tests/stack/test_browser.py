"""The MLflow UI of the stack in a real browser: sign in, open the experiment, select three trials, compare them."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from ratchet.operate.stack import Stack
from tests import moving
from tests.conftest import Told
from tests.end_to_end.commands import environment, run

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
# Set it to docs/images to take the README's picture anew.
PICTURES = os.environ.get("RATCHET_PICTURES")
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


def signed_in(browser: Browser, stack: Stack) -> Page:
    admin = {"username": "admin", "password": stack.secrets["MLFLOW_AUTH_ADMIN_PASSWORD"]}
    page = browser.new_context(http_credentials=admin, viewport={"width": 1800, "height": 960}).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.add_locator_handler(page.get_by_text("Got it", exact=True), lambda tour: tour.click())
    return page


def without_panels(page: Page) -> None:
    """Close what MLflow opens beside its pages."""
    page.wait_for_timeout(2000)
    for button in page.get_by_role("button", name="Close").all():
        button.click()


def test_nobody_looks_without_signing_in(browser: Browser, stack: Stack) -> None:
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        browser.new_page().goto(stack.tracking_uri)


def test_three_trials_are_selected_and_compared(
    browser: Browser, stack: Stack, task_file: Callable[..., Path], workplace: Path, tmp_path: Path
) -> None:
    config = task_file(name="compared", search={"models": ["xgboost"], "trials": 4, "folds": 2, "max_rounds": 40})
    done = run("ratchet", "train", "-c", config, cwd=workplace, env=environment(**stack.environment()))
    assert done.returncode == 0, done.stderr
    page = signed_in(browser, stack)
    page.goto(f"{stack.tracking_uri}/#/experiments")
    # By what they are, not by role: under MLflow's tour of its news everything else has none.
    page.locator("a", has_text=re.compile("^compared$")).first.click()
    page.locator("a", has_text="Training runs").first.click()
    rows = page.locator(".ag-row")
    train = rows.filter(has=page.get_by_role("link", name=re.compile("train · "))).first
    train.wait_for()
    without_panels(page)
    train.locator("button").first.click()
    trials = rows.filter(has=page.get_by_role("link", name="trial"))
    for number in range(3):
        trials.nth(number).get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Compare").first.click()
    page.get_by_text("Comparing 3 Runs from 1 Experiment").wait_for()
    page.get_by_text("Parallel Coordinates Plot").wait_for()
    assert page.get_by_text("trial 3 xgboost").count()
    without_panels(page)
    page.screenshot(path=Path(PICTURES or tmp_path) / "team.png")


def test_a_stage_that_somebody_changes_in_the_ui_is_named_and_put_back(
    browser: Browser, on_stack: Stack, workplace: Path, ratchet: Callable[..., Told], tmp_path: Path
) -> None:
    config = moving.task_in(workplace, name="clicked")
    assert ratchet("run", "-c", config, "--json").code == 0
    page = signed_in(browser, on_stack)
    page.goto(f"{on_stack.tracking_uri}/#/models/clicked/versions/1")
    page.get_by_text("promote Staging → Production by admin").first.wait_for()
    assert page.get_by_role("link", name="Its newest gate report").count(), "the way to the evidence"
    without_panels(page)
    page.screenshot(path=Path(PICTURES or tmp_path) / "version.png")
    page.get_by_role("switch").first.click()  # the new registry UI shows stages and changes none: it is switched off
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    page.get_by_text("Stage:").wait_for()
    page.get_by_text("Production", exact=True).first.click()
    page.get_by_role("menuitem").filter(has_text="Archived").click()
    page.get_by_role("dialog").get_by_role("button", name="OK").click()
    page.get_by_text("Archived", exact=True).first.wait_for()
    told = ratchet("reconcile", "-c", config)
    assert (told.code, told.out) == (1, "version 1 is in Archived; the ledger has it in Production\n")
    assert "clicked: changed past the ledger" in ratchet("promote", "-c", config).err
    assert ratchet("reconcile", "-c", config, "--revert").code == 0
    page.reload()
    page.get_by_text("Production", exact=True).first.wait_for()
    assert ratchet("status", "-c", config, "--json").json["versions"][0]["aliases"] == ["champion"]
