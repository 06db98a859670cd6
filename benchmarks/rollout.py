"""How often a rollout errs, and how soon it finds a loss: `python benchmarks/rollout.py [--runs 10000] [--json]`.

Each run is a rollout of two arms whose losses are 0 or 1, with a look after every row; what ends it is the code of
core/betting.py. The planned z-test of the same one-sided level and power .8, which may look once only, is beside it.
"""

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from cells import head, machine
from scipy.special import xlogy
from scipy.stats import norm

from ratchet.core.betting import Tally, evidence, wealth
from ratchet.core.verdict import OF_OUTCOMES

ALPHA, POWER, MARGIN = 0.05, 0.8, 0.02
PERIOD = 2_000  # rows of a swing
LOSSES = np.array([0.0, 1.0])
CHUNK, TOGETHER, AT_ONCE = 256, 1_000, 5_000  # looks, runs and evaluations that are held at a time
WORSE, HARMLESS = "abort: worse", "advance: not worse by the margin"


@dataclass(frozen=True)
class Case:
    """One row of the table. claim: what is tried; base: the champion's mean loss; gap: by how much the other is worse.

    percent: the challenger's share; rows: of both arms, until the run ends. swing: the champion's loss, and with it the
    challenger's, goes up and down by so much, once in PERIOD rows.
    """

    claim: str
    base: float
    gap: float
    percent: float
    rows: int
    margin: float = MARGIN
    swing: float = 0.0

    @property
    def level(self) -> float:
        """Return how often the claim may be refuted wrongly."""
        return ALPHA * OF_OUTCOMES if self.claim == WORSE else ALPHA

    @property
    def planned(self) -> float:
        """Return the rows of both arms that the z-test of level ALPHA needs for its power."""
        share, distance = self.percent / 100, self.gap if self.claim == WORSE else self.margin - self.gap
        other = self.base + self.gap
        spread = other * (1 - other) / share + self.base * (1 - self.base) / (1 - share)
        return float((norm.isf(ALPHA) + norm.ppf(POWER)) ** 2 * spread / distance**2)


def first_rows(case: Case, runs: int, seed: int) -> np.ndarray:
    """Return after how many rows each run refutes the claim, (runs,); infinite where it does not."""
    rng = np.random.default_rng(seed)
    parts = [_some_runs(case, min(TOGETHER, runs - start), rng) for start in range(0, runs, TOGETHER)]
    return np.concatenate(parts)


def _some_runs(case: Case, runs: int, rng: np.random.Generator) -> np.ndarray:
    found, going = np.full(runs, np.inf), np.arange(runs)
    counts = np.zeros((4, runs), dtype=np.int64)  # challenger: rows, losses; champion: rows, losses
    for start in range(0, case.rows, CHUNK):
        shape = (len(going), min(CHUNK, case.rows - start))
        arm = rng.random(shape, np.float32) < case.percent / 100
        base = case.base + case.swing * np.sin(2 * np.pi * np.arange(start, start + shape[1]) / PERIOD)
        lost = rng.random(shape, np.float32) < (base + np.where(arm, case.gap, 0.0)).astype(np.float32)
        rows = [np.cumsum(each, axis=1, dtype=np.int32) for each in (arm, arm & lost, ~arm, ~arm & lost)]
        rows = [each + before[:, None].astype(np.int32) for each, before in zip(rows, counts[:, going], strict=True)]
        counts[:, going] = [each[:, -1] for each in rows]
        first = _first(case, rows)
        ended = first >= 0
        found[going[ended]] = start + first[ended] + 1
        going = going[~ended]
        if not len(going):
            break
    return found


def _first(case: Case, rows: list[np.ndarray]) -> np.ndarray:
    """Return the first look at which there is enough evidence, -1 for none."""
    first = np.full(len(rows[0]), -1)
    runs, looks = np.nonzero(_may_be_enough(case, rows))
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(runs), AT_ONCE)]
    enough = [_is_enough_once(case, [each[runs[some], looks[some]] for each in rows]) for some in parts]
    runs, looks = (each[np.concatenate(enough)] if enough else each for each in (runs, looks))
    while len(runs):  # the earliest look of each run that is left, one after the other
        _, at = np.unique(runs, return_index=True)
        enough_at = _is_enough(case, [each[runs[at], looks[at]] for each in rows])
        first[runs[at][enough_at]] = looks[at][enough_at]
        left = np.ones(len(runs), dtype=bool)
        left[at] = False
        left &= first[runs] < 0
        runs, looks = runs[left], looks[left]
    return first


def _turned(case: Case, rows: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Return counts and bound of the claim `the challenger's mean is above by no more than`."""
    if case.claim == WORSE:
        return rows, 0.0
    return [rows[0], rows[0] - rows[1], rows[2], rows[2] - rows[3]], -case.margin


def _tally(case: Case, counts: list[np.ndarray]) -> Tally:
    sides = [np.stack([counts[at] - counts[at + 1], counts[at + 1]], axis=1).astype(float) for at in (0, 2)]
    return Tally(case.percent / (100 - case.percent), LOSSES, sides[1], sides[0])


def _may_be_enough(case: Case, rows: list[np.ndarray]) -> np.ndarray:
    """Whether any stakes at all could have won enough at each look: no bet beats the likelihood ratio at its best.

    That holds at any pair of the claim; chi-square bounds it from above and costs no logarithm.
    """
    counts, above = _turned(case, rows)
    n, lost, m, missed = (each.astype(float) for each in counts)
    least = 0.5 / (n + m + 1)
    b = np.clip((lost + missed - above * n) / (n + m), max(0.0, -above) + least, min(1.0, 1 - above) - least)
    a = b + above
    p, q = lost / np.maximum(n, 1), missed / np.maximum(m, 1)
    most = n * (p - a) ** 2 / (a * (1 - a)) + m * (q - b) ** 2 / (b * (1 - b))
    may = (most >= -np.log(case.level)) & (p - q > above)
    n, m, p, q, a, b = (each[may] for each in (n, m, p, q, a, b))
    ratio = n * (xlogy(p, p / a) + xlogy(1 - p, (1 - p) / (1 - a))) + m * (
        xlogy(q, q / b) + xlogy(1 - q, (1 - q) / (1 - b))
    )
    may[may] = ratio >= -np.log(case.level)
    return may


def _is_enough_once(case: Case, counts: list[np.ndarray]) -> np.ndarray:
    """Whether the evidence suffices at one pair of the claim, (runs,)."""
    (n, lost, m, missed), above = turned = _turned(case, counts)
    at = np.clip((lost + missed - above * n) / (n + m), max(0.0, -above), min(1.0, 1 - above))
    found = wealth(_tally(case, turned[0]), at[:, None], above, case.margin)[:, 0]
    return np.asarray(found >= -np.log(case.level))


def _is_enough(case: Case, counts: list[np.ndarray]) -> np.ndarray:
    """Whether the evidence suffices at every pair of the claim, (runs,)."""
    turned, above = _turned(case, counts)
    return np.asarray(evidence(_tally(case, turned), above, case.margin) >= -np.log(case.level))


def cases(most: int) -> list[Case]:
    """Return what is tried; most: rows of a run in which nothing is to be found."""
    found = [Case(WORSE, base, 0.0, percent, most) for base in (0.05, 0.2, 0.5) for percent in (5, 50)]
    found += [Case(HARMLESS, base, MARGIN, percent, most) for base in (0.05, 0.2, 0.5) for percent in (5, 50)]
    found += [Case(WORSE, 0.2, 0.0, percent, most, swing=0.15) for percent in (5, 50)]
    losses = [Case(WORSE, base, gap, percent, 0) for base in (0.05, 0.2, 0.5) for gap in (0.05, 0.1, 0.2)
              for percent in (5, 50)]  # fmt: skip
    losses += [Case(WORSE, base, MARGIN, 50, 0) for base in (0.05, 0.2)]
    equals = [Case(HARMLESS, base, 0.0, 50, 0) for base in (0.05, 0.2)]
    equals += [Case(HARMLESS, 0.2, 0.0, percent, 0, 0.05) for percent in (5, 50)]
    for case in [*losses, *equals]:
        found.append(Case(case.claim, case.base, case.gap, case.percent, int(5 * case.planned), case.margin))
    return found


def measure(case: Case, runs: int) -> dict[str, Any]:
    """Return what a case showed."""
    began = time.monotonic()
    rows = first_rows(case, runs, seed=1)
    is_wrong = case.gap <= 0 if case.claim == WORSE else case.gap >= case.margin
    found: dict[str, Any] = {
        **vars(case), "runs": runs, "wrong": is_wrong, "ended": float(np.isfinite(rows).mean()),
        "level": case.level, "seconds": time.monotonic() - began,
    }  # fmt: skip
    if not is_wrong:
        median = float(np.median(rows))
        by = {f"found_by_{times}": float((rows <= times * case.planned).mean()) for times in (1, 2)}
        found |= {"median_rows": median, "planned_rows": case.planned, "over_planned": median / case.planned, **by}
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Return the figures as two tables."""
    lines = ["| wrongly | champion's loss | challenger's share | rows | ended wrongly | at most |",
             "| --- | --: | --: | --: | --: | --: |"]  # fmt: skip
    for each in found:
        base = f"{each['base']:g} ± {each['swing']:g}" if each["swing"] else f"{each['base']:g}"
        ended = f"{each['rows']:,} | {each['ended']:.2%} | {each['level']:.0%} |"
        lines += [f"| {each['claim']} | {base} | {each['percent']:g} % | {ended}"] if each["wrong"] else []
    lines += ["", "| rightly | champion's loss | worse by | margin | share | planned rows | median rows | ratio |"
              " found by the planned rows | by twice |",
              "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"]  # fmt: skip
    lines += [
        f"| {each['claim']} | {each['base']:g} | {each['gap']:g} | {each['margin']:g} | {each['percent']:g} % |"
        f" {each['planned_rows']:,.0f} | {each['median_rows']:,.0f} | {each['over_planned']:.2f} |"
        f" {each['found_by_1']:.0%} | {each['found_by_2']:.0%} |"
        for each in found
        if not each["wrong"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Try every case; print tables, or all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=10_000, help="of a run in which nothing is to be found")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [measure(case, options.runs) for case in cases(options.rows)]
    if options.json:
        print(json.dumps({"commit": head(), "machine": machine(), "cases": found}))
        return
    print(f"{table(found)}\n\n{options.runs:,} runs each; {machine()}, commit `{head()}`.")


if __name__ == "__main__":
    main()
