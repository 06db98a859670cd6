"""argv -> call. With console.py the only file that prints, and the only one that exits.

Heavy imports stay inside the commands, so that `ratchet --help` answers at once.
"""

import io
import sys
from collections.abc import Mapping
from typing import Any

import click

from ratchet import __version__
from ratchet.adapters import stops
from ratchet.commands import captured, config, ledger, operate, prune, review, rollout, steps, team
from ratchet.errors import Differs, GateRefused, told

INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ratchet")
def cli() -> None:
    """From a data set and one YAML file to a tuned, judged, promoted and served model."""


for command in (steps.run, steps.preprocess, steps.train, steps.evaluate, steps.promote, steps.score, operate.serve,
                operate.key, operate.rollback, ledger.withdraw, ledger.approve, ledger.refuse, ledger.reconcile,
                ledger.ledger, operate.status, operate.init, review.reproduce, review.diff, review.fit, team.stack,
                team.doctor, team.migrate, team.backup, team.restore, prune.prune, captured.captured, rollout.rollout,
                config.config):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run a command: 0 done, 1 refused or failed with one line why, 2 bad usage, 130 interrupted."""
    stops.hear()
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show Hangul shows its code instead
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        if "--json" in sys.argv:
            from ratchet import console

            console.as_json({"error": error.format_message()})
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("stopped; the same command goes on from here", INTERRUPTED)
    except GateRefused as error:
        report = error.report or {}
        _fail(str(error), 1, {"gates": error.gates, "yardstick": error.yardstick, "metrics": report.get("metrics", {})})
    except Differs as error:
        _fail(str(error), 1, error.report)
    except Exception as error:
        said = told(error)
        if said is None:
            raise  # a bug keeps its traceback
        _fail(said, 1)


def _fail(text: str, code: int, more: Mapping[str, Any] | None = None) -> None:
    from ratchet import console

    if "--json" in sys.argv:
        console.as_json({"error": text, **(more or {})})
    console.fault(text)
    sys.exit(code)
