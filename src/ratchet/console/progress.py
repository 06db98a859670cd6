"""What is seen on stderr while it works."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from ratchet.console.words import duration

QUIET_S = 5  # without a terminal, a line at most this often


class Quiet:
    """Shows nothing: for --json."""

    def step(self, name: str, state: str) -> None:
        """Show nothing."""

    def trial(self, done: int, total: int, best: str, left_s: float) -> None:
        """Show nothing."""

    def rows(self, done: int) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class Live:
    """Shows steps, trials and rows as they come: a bar in a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.began: dict[str, float] = {}
        self.bar: Progress | None = None
        self.spoke = 0.0

    def step(self, name: str, state: str) -> None:
        """Show that a step begins, ends or is used again."""
        self._end_bar()
        if state == "running":
            self.began[name] = time.monotonic()
            self.console.print(f"[bold]{name}[/] …")
        elif state == "reused":
            self.console.print(f"[bold]{name}[/] reused: its inputs have not changed")
        else:
            self.console.print(f"[bold]{name}[/] done in {duration(time.monotonic() - self.began.get(name, 0))}")

    def trial(self, done: int, total: int, best: str, left_s: float) -> None:
        """Show how far the search is."""
        if not done:
            return
        left = f"about {duration(left_s)} left" if done < total and left_s else ""
        self._advance("trial", done, total, f"best {best}" if best else "", left)

    def rows(self, done: int) -> None:
        """Show how many rows are scored."""
        self._advance("rows", done, None, "", "")

    def note(self, text: str) -> None:
        """Show a remark."""
        self.console.print(f"  [yellow]·[/] {escape(text)}")

    def _advance(self, word: str, done: int, total: int | None, *remarks: str) -> None:
        remark = ", ".join(part for part in remarks if part)
        if self.console.is_terminal:
            if self.bar is None:
                columns = (
                    SpinnerColumn(),
                    TextColumn(f"  {word}"),
                    BarColumn(30),
                    MofNCompleteColumn(),
                    TextColumn("{task.description}"),
                )
                self.bar = Progress(*columns, console=self.console, transient=True)
                self.bar.start()
                self.bar.add_task("", total=total)
            self.bar.update(self.bar.task_ids[0], completed=done, description=remark)
        elif done == total or time.monotonic() - self.spoke > QUIET_S:
            self.spoke = time.monotonic()
            of = f" of {total}" if total else ""
            self.console.print(f"  {word} {done:,}{of}{', ' if remark else ''}{remark}")

    def _end_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._end_bar()
