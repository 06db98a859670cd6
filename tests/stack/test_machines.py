"""Workers on several machines share a search through the server; the plug of one is pulled in the middle."""

import time
from collections.abc import Callable
from pathlib import Path

from ratchet.adapters.runs import BEAT_S, GRACE_S
from ratchet.operate.stack import Stack
from tests.end_to_end.commands import environment, run
from tests.faults.counts import times
from tests.stack import machines, records
from tests.stack.test_absence import DATA, TRIALS, search

MACHINES = times(2, 4)


def test_of_several_machines_one_is_unplugged_and_the_others_meet_the_budget(
    stack: Stack, task_file: Callable[..., Path], workplace: Path, tmp_path: Path
) -> None:
    config = task_file(name="machines", data=DATA, search=search(3))
    env = environment(**stack.environment())
    assert run("ratchet", "preprocess", "-c", config, cwd=workplace, env=env).returncode == 0
    (tmp_path / "ways").mkdir()
    with machines.ways(tmp_path / "ways", [stack.ports.tracking, stack.ports.postgres]) as way:
        workers = []
        for number in range(MACHINES):
            (tmp_path / f"machine-{number}").mkdir()
            words = ["ratchet", "train", "-c", config]
            workers.append(machines.start(f"machine-{number}", way, words, tmp_path / f"machine-{number}", env))
        deadline = time.monotonic() + 180
        while len(records.runs_of(stack, "machines", "trial")) < 2:
            assert all(worker.poll() is None for worker in workers), [w.communicate()[0] for w in workers if w.poll()]
            assert time.monotonic() < deadline
            time.sleep(0.3)
        workers[0].kill()
        unplugged = time.monotonic()
        said = [worker.communicate(timeout=300)[0] for worker in workers[1:]]
    assert [worker.returncode for worker in workers[1:]] == [0] * (MACHINES - 1), said
    time.sleep(max(0.0, unplugged + BEAT_S + GRACE_S + 5 - time.monotonic()))
    # What the unplugged one left open is closed by the next command of the task, once its sign of life is too old.
    assert run("ratchet", "preprocess", "-c", config, "--force", cwd=workplace, env=env).returncode == 0
    records.check_trials(stack, "machines", TRIALS)
    print(f"{MACHINES} machines, one unplugged; {TRIALS} trials, each on record once, nothing left RUNNING")
