"""Progress of a run: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from typing import Any

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts rows as done, reused and failed, and says how long it will take.

    Everything goes to stderr: stdout belongs to results.
    """

    def __init__(self, total: int, reused: int, *, is_shown: bool = True) -> None:
        """Start the clock.

        Args:
            total: rows of the whole run.
            reused: rows that are there already.
            is_shown: False for no output at all.
        """
        self.total, self.reused = total, reused
        self.done = self.failed = 0
        self.started = self._last_line = time.monotonic()
        self._is_shown = is_shown
        self._bar: Any = None
        if is_shown and sys.stderr.isatty():
            self._bar = self._make_bar()

    def _make_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = bar.add_task(
            "rows", total=self.total, completed=self.reused, text=self.text()
        )
        bar.start()
        return bar

    def advance(self, done: int, failed: int) -> None:
        """Add the rows of a chunk, `failed` of which have no answer."""
        self.done += done
        self.failed += failed
        if self._bar is not None:
            completed = self.done + self.reused
            self._bar.update(self._task, completed=completed, text=self.text())
            return
        now = time.monotonic()
        if now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"{self.text()}, {self._time_left()}")

    def text(self) -> str:
        """Return the counts and the speed in one line."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        return (
            f"{self.done + self.reused}/{self.total} rows: {self.done} done,"
            f" {self.reused} reused, {self.failed} failed, {self.done / seconds:.3g}/s"
        )

    def _time_left(self) -> str:
        left = self.total - self.done - self.reused
        if not self.done:
            return "time left unknown"
        seconds = round(left * (time.monotonic() - self.started) / self.done)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"

    def say(self, message: str) -> None:
        """Print a line without disturbing the bar."""
        if not self._is_shown:
            return
        if self._bar is not None:
            self._bar.console.print(message, markup=False, highlight=False)
        else:
            print(message, file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        """Return the progress."""
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
