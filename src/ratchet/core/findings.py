"""The two gates that every task has: no column gives the target away, and the hypothesis is not refuted."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratchet.config import Acceptance
from ratchet.core.gates import FAIL, INSUFFICIENT, PASS, Verdict
from ratchet.core.leaks import PERFECT, PERFECT_METRICS, Leak, is_too_good
from ratchet.errors import did_you_mean

LEAK, HYPOTHESIS = "leak", "hypothesis"


@dataclass(frozen=True)
class Finding:
    """Something that closes every stage unless the task accepts it.

    gate: leak or hypothesis; subject: the columns, the metric, or `hypothesis`, by which an acceptance names it; text:
    a sentence; figure, threshold: what it rests on.
    """

    gate: str
    subject: str
    text: str
    figure: float
    threshold: float

    @property
    def acceptance(self) -> str:
        """How the task's file accepts it."""
        key = "" if self.gate == HYPOTHESIS else "metric" if self.subject in PERFECT_METRICS else "column"
        subject = f"{key}: {_quoted(self.subject)}, " if key else ""
        return f"gates: {{accept: [{{gate: {self.gate}, {subject}reason: …}}]}}"


def leaks_found(leaks: Sequence[Leak], metrics: Mapping[str, float], rows: Mapping[str, int]) -> list[Finding]:
    """Return what gives the target away: columns or, where none does, a score that is too good to be true.

    Args:
        leaks: The columns that preprocess found.
        metrics: The figures on test.
        rows: How many rows each of them rests on.
    """
    found = [Finding(LEAK, leak.name, leak.sentence, leak.strength, math.nan) for leak in leaks]
    for name in PERFECT_METRICS if not found else ():
        if is_too_good(name, figure := metrics.get(name, math.nan), rows.get(name, 0)):
            text = f"leak: {name} {figure:.4f} on {rows[name]:,} rows is too good to be true; what gives it away?"
            found.append(Finding(LEAK, name, text, figure, PERFECT))
    return found


def hypothesis_found(hypothesis: Mapping[str, Any] | None) -> list[Finding]:
    """Return that the hypothesis is refuted, if it is. hypothesis: as evaluate reports it, None without one."""
    if hypothesis is None or hypothesis["verdict"] != "refuted":
        return []
    return [Finding(HYPOTHESIS, HYPOTHESIS, _told(hypothesis), hypothesis["value"], hypothesis["minimum"])]


def verdicts(found: Sequence[Finding], hypothesis: Mapping[str, Any] | None, accept: Sequence[Acceptance]
             ) -> list[Verdict]:  # fmt: skip
    """Return what the gates of every task say: one verdict for each finding, and `pass` where there is none.

    Args:
        found: What was found.
        hypothesis: As evaluate reports it, None for a task without one, which is not asked for any.
        accept: What the task accepts.
    """
    said = [_verdict(finding, accept) for finding in found]
    if not any(finding.gate == LEAK for finding in found):
        said.append(Verdict(PASS, "no column gives the target away", math.nan, LEAK))
    if hypothesis and not any(finding.gate == HYPOTHESIS for finding in found):
        figure, bound = hypothesis["value"], hypothesis["minimum"]
        verdict = PASS if math.isfinite(figure) else INSUFFICIENT
        low, high = hypothesis["interval"]
        said.append(Verdict(verdict, _told(hypothesis), figure, HYPOTHESIS, low, high, bound, subject=HYPOTHESIS))
    return said


def unmatched(found: Sequence[Finding], accept: Sequence[Acceptance]) -> list[str]:
    """Return a sentence for each acceptance that nothing was found for."""
    said = []
    for number, each in enumerate(accept):
        subjects = [finding.subject for finding in found if finding.gate == each.gate]
        if each.subject in subjects:
            continue
        what = "no hypothesis is refuted" if each.gate == HYPOTHESIS else f"no leak {each.subject!r} was found"
        mend = did_you_mean(each.subject, subjects) or "; take it out, or it lets pass what comes later"
        said.append(f"gates.accept[{number}]: {what}{mend}")
    return said


def _verdict(finding: Finding, accept: Sequence[Acceptance]) -> Verdict:
    given = [each.reason.strip() for each in accept if (each.gate, each.subject) == (finding.gate, finding.subject)]
    if given:
        verdict, more = PASS, f"accepted: {given[0]}"
    elif finding.gate == HYPOTHESIS:
        verdict, more = FAIL, f"to go on all the same: {finding.acceptance}"
    else:
        leave = "if it is right" if finding.subject in PERFECT_METRICS else "if not, name it in data.drop; if so"
        verdict, more = FAIL, f"{leave}: {finding.acceptance}"
    text = f"{finding.text}{'' if finding.text.endswith('?') else ';'} {more}"
    accepted = given[0] if given else ""
    return Verdict(verdict, text, finding.figure, finding.gate, threshold=finding.threshold, subject=finding.subject,
                   accepted=accepted)  # fmt: skip


def _told(hypothesis: Mapping[str, Any]) -> str:
    metric, (low, high) = hypothesis["metric"], hypothesis["interval"]
    how = {"holds": "holds", "refuted": "is refuted", "open": "is neither refuted nor confirmed"}
    text = f" ({hypothesis['text']})" if hypothesis["text"] else ""
    bounds = f"{metric} {hypothesis['value']:.4f} [{low:.4f}, {high:.4f}], bound {hypothesis['minimum']:g}"
    return f"the hypothesis{text} {how[hypothesis['verdict']]}: {bounds}"


def _quoted(name: str) -> str:
    """Return a name as a YAML value."""
    return name if name.replace("_", "a").isalnum() and not name.isdigit() else json.dumps(name, ensure_ascii=False)
