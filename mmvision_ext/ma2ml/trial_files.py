"""The folder through which a trial and the search speak to each other.

Files rather than a socket: they outlive either side, work on any cluster
with a shared file system, and can be looked at. Each is replaced as a whole
or gets whole lines, so that a reader never sees half of one.

=================  ==========================================  ============
file               content                                     written by
=================  ==========================================  ============
``candidate.json`` decisions, seed, metric                     the search
``config.py``      the full config of the trial                the search
``log.txt``        all that the trial printed                  the trial
``reports.jsonl``  the metric after each validation            the hook
``verdict.json``   the answer: go on or stop                   the search
``result.json``    how it ended                                the trial
=================  ==========================================  ============

Imports the standard library alone: the trial should not pay for more.
"""
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

#: Variable that names the folder to the trial.
TRIAL_DIR = 'MMVISION_TRIAL_DIR'

_STALE = ('reports.jsonl', 'verdict.json', 'result.json')


def write_json(path: Path, data: Any) -> None:
    """Write a file of JSON, whole or not at all, and onto the disk.

    Args:
        path (Path): The file.
        data (Any): Its content.
    """
    draft = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with open(draft, 'w', encoding='utf-8') as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """Read such a file.

    Args:
        path (Path): The file.

    Returns:
        Any: Its content, None if it is not there or damaged.
    """
    try:
        return json.loads(path.read_text('utf-8'))
    except (OSError, ValueError):
        return None


class TrialFolder:
    """The folder of one trial.

    Args:
        path (str | Path): The folder, which need not exist.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)

    @property
    def config(self) -> Path:
        """The trial's config."""
        return self.path / 'config.py'

    @property
    def log(self) -> Path:
        """What the trial printed."""
        return self.path / 'log.txt'

    def open(self, candidate: Mapping[str, Any]) -> None:
        """Make the folder ready for an attempt.

        What an earlier attempt at the same candidate left is put aside as
        ``*.attempt1`` and so on; of another candidate (the journal had been
        cut off), the whole folder is.

        Args:
            candidate (Mapping): What ``candidate.json`` shall hold.
        """
        if self.path.exists() and not self.holds(candidate):
            shutil.move(self.path, _free(self.path.with_name(
                self.path.name + '.old')))
        self.path.mkdir(parents=True, exist_ok=True)
        for name in _STALE[:2]:
            (self.path / name).unlink(missing_ok=True)
        for old in (self.log, self.path / 'result.json'):
            if old.exists():
                old.rename(_free(old.with_name(old.name + '.attempt')))
        write_json(self.path / 'candidate.json', dict(candidate))

    def holds(self, candidate: Mapping[str, Any]) -> bool:
        """Whether the folder is of this very candidate.

        Args:
            candidate (Mapping): As in :meth:`open`.

        Returns:
            bool: True if it is.
        """
        return read_json(self.path / 'candidate.json') == json.loads(
            json.dumps(dict(candidate)))

    @property
    def candidate(self) -> dict[str, Any]:
        """What was asked of the trial; empty if it is not known."""
        return read_json(self.path / 'candidate.json') or {}

    def write_result(self, **result: Any) -> None:
        """Say how the trial ended.

        Args:
            **result (Any): ``state`` ('complete', 'pruned' or 'failed'),
                ``value``, ``metrics``, ``failure`` and what else is known.
        """
        write_json(self.path / 'result.json', result)

    def result(self) -> Optional[dict[str, Any]]:
        """How the trial ended, None if it has not said."""
        return read_json(self.path / 'result.json')

    def report(self, step: int, value: float) -> None:
        """Add a report.

        Args:
            step (int): Epochs, or iterations, done.
            value (float): The metric.
        """
        line = json.dumps(dict(step=step, value=value)) + '\n'
        with open(self.path / 'reports.jsonl', 'a', encoding='utf-8') as file:
            file.write(line)

    def reports(self) -> list[tuple[int, float]]:
        """All whole reports so far, as pairs of step and metric."""
        try:
            text = (self.path / 'reports.jsonl').read_text('utf-8')
        except OSError:
            return []
        rows = [json.loads(line) for line in text.split('\n')[:-1]]
        return [(row['step'], row['value']) for row in rows]

    def answer(self, step: int, prune: bool) -> None:
        """Answer a report.

        Args:
            step (int): Its step.
            prune (bool): Whether the trial shall stop.
        """
        write_json(self.path / 'verdict.json', dict(step=step, prune=prune))

    def verdict(self, step: int) -> Optional[bool]:
        """The answer to a report.

        Args:
            step (int): Its step.

        Returns:
            bool | None: Whether to stop; None while there is no answer.
        """
        found = read_json(self.path / 'verdict.json')
        if found is None:
            return None
        if found['prune']:
            return True
        return False if found['step'] >= step else None

    def log_tail(self, size: int = 4000) -> str:
        """The end of the log.

        Args:
            size (int): At most so many bytes. Defaults to 4000.

        Returns:
            str: The text, empty if there is none.
        """
        try:
            with open(self.log, 'rb') as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - size))
                return file.read().decode('utf-8', 'replace')
        except OSError:
            return ''


def _free(path: Path) -> Path:
    number = 1
    while path.with_name(f'{path.name}{number}').exists():
        number += 1
    return path.with_name(f'{path.name}{number}')
