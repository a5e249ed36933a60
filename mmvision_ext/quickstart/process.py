"""A step of the quickstart as a process of its own, with its progress."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class StepError(RuntimeError):
    """A step of the quickstart that ended with an error."""


class Progress(NamedTuple):
    """How far a step is.

    Args:
        done (int): Parts that are done.
        total (int): Parts in all, at least 1.
        text (str): What else is known.
    """
    done: int
    total: int
    text: str


def follow(what: str, label: str, command: Sequence[str], log: Path,
           read: Callable[[str], Progress | None]) -> float:
    """Run a step to its end, showing how far it is.

    Args:
        what (str): What it does, for messages.
        label (str): What stands in front of the progress.
        command (Sequence[str]): The command.
        log (Path): Gets everything that the command prints.
        read (Callable): Finds the progress in a line that was printed.

    Returns:
        float: Seconds it took.

    Raises:
        StepError: If it failed; the message ends with the last lines of
            the log.
    """
    begin = time.monotonic()
    status = _run(command, log, _Display(f'  {label:<17}'), read)
    if status:
        tail = '\n'.join(
            '    ' + line for line in log.read_text().splitlines()[-15:])
        raise StepError(f'{what} ended with status {status}; the end of '
                        f'{log}:\n{tail}')
    return time.monotonic() - begin


def _run(command: Sequence[str], log: Path, display: _Display,
         read: Callable[[str], Progress | None]) -> int:
    with open(log, 'w') as file, subprocess.Popen(
            command,
            # Waiting threads that spin make a busy machine far slower.
            env={'OMP_WAIT_POLICY': 'PASSIVE', **os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace') as process:
        try:
            for line in process.stdout or ():
                file.write(line)
                progress = read(line)
                if progress:
                    display.show(progress)
        except KeyboardInterrupt:
            # The child got the signal too; give it time to end by itself.
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        finally:
            display.end()
    return process.returncode


class _Display:
    """One line that is rewritten on a terminal, a few lines elsewhere."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.rewrite = sys.stdout.isatty()
        self.quarter = -1

    def show(self, progress: Progress) -> None:
        done, total, text = progress
        text = f'{self.label} {done:>4}/{total}  {text}'
        if self.rewrite:
            print(f'\r{text}\x1b[K', end='', flush=True)
        elif 4 * done // total > self.quarter:
            self.quarter = 4 * done // total
            print(text, flush=True)

    def end(self) -> None:
        if self.rewrite:
            print(flush=True)
