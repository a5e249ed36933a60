"""The report on disk: rows of all runs, merged."""

import csv
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.errors import LaunchError
from .growth import find_growth
from .table import render

#: What tells a row from another; the newer of two equal ones stays.
KEY = ('model', 'height', 'width', 'batch', 'mode', 'device', 'dtype',
       'compile', 'with_cp', 'device_name', 'threads', 'trials')
COLUMNS = KEY + (
    'status', 'reason', 'turns', 'seconds', 'seconds_min', 'seconds_max',
    'cpu_seconds', 'cpu_seconds_min', 'cpu_seconds_max', 'images_per_second',
    'reference', 'speed_ratio', 'cpu_ratio', 'memory_ratio', 'difference',
    'not_compared', 'params', 'flops', 'traffic_bytes', 'flops_per_second',
    'bytes_per_second', 'product_flops_per_second', 'copy_bytes_per_second',
    'part_of_product', 'part_of_copy', 'peak_bytes', 'resident_before_bytes',
    'resident_peak_bytes', 'resident_step_bytes', 'run')


class Report:
    """Rows and the runs that they come from, in a folder.

    Args:
        folder (Path): Where ``benchmark.json``, ``.csv`` and ``.md`` are, or
            will be.

    Attributes:
        rows (list[dict[str, Any]]): Of all runs.
        runs (dict[str, dict[str, Any]]): Command, machine and versions by
            the ``run`` of the rows.

    Raises:
        LaunchError: If the file there is not one of this tool.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        path = folder / 'benchmark.json'
        if path.exists():
            try:
                content = json.loads(path.read_text('utf-8'))
                self.rows, self.runs = content['rows'], content['runs']
                if any(row['run'] not in self.runs for row in self.rows):
                    raise KeyError('run')
            except (KeyError, OSError, TypeError, ValueError) as error:
                raise LaunchError(
                    f'--out {folder}: {path} cannot be read as a report of '
                    'this tool; move it away or choose another folder'
                ) from error

    def add(self, run: dict[str, Any], rows: Sequence[dict[str, Any]]
            ) -> None:
        """Add rows in place of those of the same key, and write all.

        Args:
            run (dict[str, Any]): Where they come from.
            rows (Sequence[dict[str, Any]]): The rows.
        """
        text = json.dumps(run, sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:8]
        new = {_key(row): {**row, 'run': name} for row in rows}
        self.rows = [row for row in self.rows if _key(row) not in new]
        self.rows += new.values()
        self.runs[name] = run
        used = {row['run'] for row in self.rows}
        self.runs = {k: v for k, v in self.runs.items() if k in used}
        self._write()

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = dict(runs=self.runs, rows=self.rows,
                       growth=find_growth(self.rows))
        self._replace('benchmark.json',
                      json.dumps(content, indent=1, allow_nan=False) + '\n')
        self._replace('benchmark.md', render(self.runs, self.rows) + '\n')
        path = self.folder / 'benchmark.csv'
        with _draft(path).open('w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, COLUMNS, restval='',
                                    lineterminator='\n')
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(_draft(path), path)

    def _replace(self, name: str, text: str) -> None:
        path = self.folder / name
        _draft(path).write_text(text, 'utf-8')
        os.replace(_draft(path), path)


def _draft(path: Path) -> Path:
    return path.with_name(f'.{path.name}.part')


def _key(row: dict[str, Any]) -> tuple:
    return tuple(row[name] for name in KEY)
