"""The result of each command, as tables and lines on stdout."""

import time
from collections.abc import Mapping
from typing import Any

from ratchet.console.words import duration, figure, say, size, table


def report(evaluation: Mapping[str, Any]) -> None:
    """Print the metrics on test beside what the model has to beat."""
    others = dict(evaluation["baselines"])
    if evaluation["champion"]:
        others[f"champion (v{evaluation['champion']['version']})"] = evaluation["champion"]["metrics"]
    heads = ["metric", "model", "95 % interval", *others]
    rows = []
    for name, value in evaluation["metrics"].items():
        low, high = evaluation["intervals"][name]
        rows.append(
            [
                name,
                figure(value),
                f"{figure(low)} to {figure(high)}",
                *(figure(o.get(name)) for o in others.values()),
            ]
        )
    table(f"{evaluation['task']}: {evaluation['rows']:,} test rows", heads, rows)
    if stated := evaluation["hypothesis"]:
        text = stated["text"] or f"{stated['metric']} {stated['minimum']}"
        seen = f"{stated['metric']} {figure(stated['value'])}, bound {stated['minimum']:g}"
        say(f"hypothesis {stated['verdict']}: {text} ({seen})")


def gates(found: list[dict[str, Any]]) -> None:
    """Print what each gate said; bounds are one-sided 95 % each."""
    heads = ["stage", "gate", "verdict", "figure", "95 % bounds", "threshold", "rows", "which is to say"]
    rows = [
        [
            *(gate[name] for name in ("stage", "kind", "verdict")),
            figure(gate["figure"]),
            "–" if gate["low"] is None else f"{figure(gate['low'])} to {figure(gate['high'])}",
            figure(gate["threshold"]),
            f"{gate['rows']:,}" if gate["rows"] else "–",
            gate["sentence"],
        ]
        for gate in found
    ]
    if rows:
        table("gates", heads, rows)


def yardstick(found: Mapping[str, Any]) -> None:
    """Print the gates beside those under which the champion came, and what asks for less than they did."""
    champion = found["champion"]
    if champion is None:
        return
    if found["unknown"]:
        say(f"the gates of version {champion}, the champion, are not known: {found['unknown']}")
    if any(row["change"] != "as before" for row in found["rows"]):
        rows = [[row["stage"], row["champion"], row["now"], row["change"]] for row in found["rows"]]
        table("gates beside the champion's", ["stage", f"of version {champion}", "now", ""], rows)
    elif found["rows"]:
        say(f"the gates are those of version {champion}, the champion, or stricter")
    for text in dict.fromkeys(text for texts in found["loosened"].values() for text in texts):
        say(f"loosened {text}")


def prepared(found: Mapping[str, Any]) -> None:
    """Print what preprocess made of the rows: sides, features, and what was dropped and why."""
    sides = ", ".join(f"{side} {count:,}" for side, count in found["sides"].items())
    say(f"{found['task']}: {found['kind']}, {sides} rows; run {found['run_id']}")
    rows = [[name, kind] for name, kind in found["features"].items()]
    rows += [[name, f"= {formula}"] for name, formula in found["formulas"].items()]
    rows += [[name, f"dropped: {reason}"] for name, reason in found["dropped"].items()]
    table("columns", ["column", "becomes"], rows)


def plan(found: Mapping[str, Any]) -> None:
    """Print what the main job would do."""
    say(f"{found['task']}: {found['rows']:,} rows, {found['columns']} columns")
    table("", ["step", "state"],
          [[step["step"], step["state"]] for step in found["steps"]])  # fmt: skip
    time_s, memory = duration(found["about_s"]), found["about_mb"]
    say(f"train ends within {duration(found['train_at_most_s'])} (search.timeout_s), with fewer trials if need be")
    say(f"{found['trials']} trials; about {time_s} and {memory:,} MB of memory (rough: from the size of the data)")


def status(found: Mapping[str, Any]) -> None:
    """Print versions and last runs."""
    if not found["versions"]:
        say(f"{found['task']}: no version is registered yet; ratchet run makes one")
    names = list(dict.fromkeys(name for v in found["versions"] for name in v["metrics"]))[:4]
    rows = [
        [
            v["version"],
            v["stage"],
            ", ".join(v["aliases"]),
            _when(v["updated_ms"]),
            *(figure(v["metrics"].get(n)) for n in names),
        ]
        for v in found["versions"]
    ]
    if rows:
        table(f"{found['task']}: versions", ["version", "stage", "alias", "moved (UTC)", *names], rows)
    if found["vacancy"]:
        say(f"{found['task']}: {found['vacancy']}")
    for v in found["versions"]:
        if v["told"]:
            say(f"version {v['version']}: {v['told']}")
    for text in found["past_the_ledger"]:
        say(f"changed past the ledger: {text}; ratchet reconcile mends it")
    runs = [[run["step"], run["status"], _when(run["start_ms"]), run["run_id"]] for run in found["runs"]]
    if runs:
        table("last runs", ["step", "status", "began (UTC)", "run"], runs)


def ledger(entries: list[dict[str, Any]]) -> None:
    """Print the entries of the ledger; an intent that came to its end is told by that."""
    ended = {entry["intent"] for entry in entries}
    entries = [entry for entry in entries if entry["sequence"] not in ended]
    if not entries:
        say("the ledger is empty: nothing was moved yet")
        return
    heads = ["entry", "at (UTC)", "task", "version", "what", "in place of", "by", "why"]
    rows = [
        [e["sequence"], e["at"][:19].replace("T", " "), e["task"], e["version"], _what(e), e["replaced"] or "",
         _whom(e), e["why"]]
        for e in entries
    ]  # fmt: skip
    table("ledger", heads, rows)
    if any(entry["intent"] for entry in entries):
        say("an entry that ends a move stands for its intent too, the number before; --json has them all")


def at(moment: str, found: list[dict[str, Any]]) -> None:
    """Print who was in which stage at a moment, and who had brought them there."""
    if not found:
        say(f"{moment}: nothing was in Staging or Production")
        return
    rows = [
        [f["task"], f["stage"], f["version"] or "none", f["at"][:19].replace("T", " "), _whom(f), f["why"]]
        for f in found
    ]
    table(f"at {moment}", ["task", "stage", "version", "since (UTC)", "by", "why"], rows)


def rollout(task: str, found: Mapping[str, Any]) -> None:
    """Print where a rollout is, its figures by arm, and why it is there."""
    said = f"{found['state']} at {found['percent']:g} %, of {', '.join(f'{each:g}' for each in found['percents'])}"
    say(f"{task}: rollout {found['rollout']} of version {found['challenger']} beside {found['champion']}: {said}")
    rows = [
        [arm, of["rows"], of["outcomes"], figure(of["loss"]), figure(of["errors"]), figure(of["latency_ms"]),
         ", ".join(f"{label} {share:.1%}" for label, share in of["decisions"].items())]
        for arm, of in found["arms"].items()
    ]  # fmt: skip
    table("arms", ["arm", "rows", "outcomes", found["metric"], "errors", "ms", "decisions"], rows)
    if found["corrected"]:
        say(f"{found['corrected']:,} outcomes were corrected, and count as they are now")
    say(f"verdict: {found['verdict'] or 'none yet'}")
    for reason in found["reasons"]:
        say(f"  {reason}")
    steps = [[step["at"][:19].replace("T", " "), step["action"], f"{step['percent']:g}", step["by"],
              step["entry"] or "not yet", step["why"]] for step in found["steps"]]  # fmt: skip
    table("steps", ["at (UTC)", "what", "%", "by", "entry", "why"], steps)


def pruned(found: Mapping[str, Any]) -> None:
    """Print what was, or would be, removed by kind, what is kept, and why."""
    rows = [[kind, each["count"], size(each["bytes"])] for kind, each in found["kinds"].items()]
    if rows:
        table("removed" if found["removed"] else "to be removed", ["what", "how many", "size"], rows)
    for item in found["items"] if not found["removed"] else ():
        say(f"  {item['kind']}: {item['name']} ({size(item['bytes'])})")
    kept = [[each["name"], each["why"], size(each["bytes"]) if each["bytes"] else ""] for each in found["kept"]]
    if kept:
        table("kept", ["what", "why", "size"], kept)
    for note in found["notes"]:
        say(note)
    if not rows:
        say("nothing to remove")
    elif not found["removed"]:
        say(f"nothing was removed; --yes removes {size(found['bytes'])}")


def _what(entry: Mapping[str, Any]) -> str:
    phase = "" if entry["phase"] == "done" else f" ({entry['phase']})"
    is_move = entry["from_stage"] != entry["to_stage"]
    return f"{entry['action']}{' {from_stage} → {to_stage}'.format_map(entry) if is_move else ''}{phase}"


def _whom(entry: Mapping[str, Any]) -> str:
    return str(entry["account"] or entry["person"] or entry["role"])


def _when(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(milliseconds / 1000))


def why(steps: list[dict[str, Any]]) -> None:
    """Show by step whether it is reused and, if not, each input that changed."""
    for step in steps:
        if step["state"] == "reused":
            say(f"{step['step']}: reused, nothing changed")
        elif not step["changed"]:
            say(f"{step['step']}: runs, since no finished run of it is known")
        else:
            say(f"{step['step']}: runs, since")
            for name, how in step["changed"].items():
                say(f"  {name} {how}" if how in ("changed", "is new", "is gone") else f"  {name}: {how}")
