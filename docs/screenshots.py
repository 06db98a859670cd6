"""Take the README's pictures in a real browser; needs Debian's chromium.

Of the MLflow UI, of the runs in the store in use, after a job of the experiment that is named:
`python docs/screenshots.py churn`. Of the gateway's pages, by their tests: `python docs/screenshots.py pages`, which
needs a Korean font too (Debian's fonts-nanum, and fonts-noto-color-emoji).
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import requests
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
MODE = "workflowType=machine_learning"  # what the switch at the top left of MLflow's UI does
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@contextlib.contextmanager
def ui(store: str) -> Iterator[str]:
    """Run `mlflow server` on the store; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        store,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    with subprocess.Popen(command, env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}) as server:
        url = f"http://127.0.0.1:{port}"
        for _ in range(150):
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{url}/health", timeout=1).ok:
                    break
            time.sleep(0.4)
        try:
            yield url
        finally:
            server.terminate()


def shoot(page: Page, url: str, name: str, wait_for: str) -> None:
    """Open a page, wait until its content is there, and save it."""
    page.goto(url)
    page.get_by_text(wait_for).first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    tidy(page)
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / f"{name}.png")


def tidy(page: Page) -> None:
    """Close the panel that MLflow opens beside its pages, make room for the names, and unfold nested runs."""
    for button in page.get_by_role("button", name="Close").all():
        button.click()
    widen(page)
    for name in (r" · version \d+ in ", "^train · "):
        row = page.locator(".ag-row").filter(has=page.get_by_role("link", name=re.compile(name)))
        if row.count():
            row.first.locator("button").first.click(timeout=5_000)
            page.wait_for_timeout(1000)


def widen(page: Page) -> None:
    """Draw the edge of the column with the runs' names to the right."""
    edge = page.locator(".ag-header-cell-resize:not(.ag-hidden)")
    if edge.count() and (box := edge.first.bounding_box()):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        for distance in (150, 330):
            page.mouse.move(x + distance, y, steps=10)
        page.mouse.up()


def pages() -> None:
    """Take the pictures of the gateway's pages, of a model that the tests train."""
    if not subprocess.run(["fc-list", ":lang=ko"], capture_output=True, check=True).stdout:
        raise SystemExit("no Korean font is installed, so the review would be empty boxes: apt install fonts-nanum")
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/serving/test_page_in_browser.py"]
    chosen = ["-k", "korean_review or curve_is_drawn"]
    subprocess.run([*command, *chosen], cwd=ROOT, env=os.environ | {"RATCHET_PICTURES": str(IMAGES)}, check=True)


def main(task: str) -> None:
    """Take both pictures of a task's runs."""
    store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    client = mlflow.MlflowClient(store)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    mine = f"tags.`ratchet.task` = '{task}' and tags.`ratchet.step` = "
    trials = client.search_runs(experiments, f"{mine}'trial'")
    experiment = trials[0].info.experiment_id
    IMAGES.mkdir(exist_ok=True)
    with ui(store) as url, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport={"width": 1800, "height": 960})
        place = f"{url}/#/experiments/{experiment}/runs?{MODE}"
        shoot(page, place, "runs", "in Production")
        boosted = [run for run in trials if run.data.params["family"] == "xgboost"]
        chosen = ",".join(f'"{run.info.run_id}"' for run in boosted[:4])
        shoot(page, f'{url}/#/compare-runs?runs=[{chosen}]&experiments=["{experiment}"]', "compare", "Comparing")
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["pages"]:
        pages()
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "churn")
