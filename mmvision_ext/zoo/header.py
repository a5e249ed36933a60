"""What the header of a config says of its figures."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import LaunchError

#: Names that headers use -> names of metafiles; the longer ones first.
METRICS = {
    'box AP50': 'box AP50',
    'mask AP50': 'mask AP50',
    'box AP': 'box AP',
    'mask AP': 'mask AP',
    'mIoU': 'mIoU',
    'top-1': 'Top 1 Accuracy',
}
_PAIR = re.compile(rf'({"|".join(METRICS)}) (\d*\.\d+)')


@dataclass(frozen=True)
class Header:
    """Fields of a header, each on one line.

    Args:
        figure (str): "Metric".
        source (str): "Source".
        status (str): "Status".
    """

    figure: str
    source: str
    status: str

    def metrics(self) -> dict[str, float]:
        """Numbers of the paper, or else those that were measured here.

        Where several starting points are told apart, the first counts. A
        figure "for another" network is none of this one.

        Returns:
            dict[str, float]: In percent, by the names of metafiles. Empty
            where there are none.
        """
        reported = 'reported by paper' in self.figure
        text = self.figure if reported else self.status
        if 'for another' in text:
            return {}
        suffix = ' after fine-tuning' if 'after fine-tuning' in text else ''
        found: dict[str, float] = {}
        for name, value in _PAIR.findall(text):
            # AP50 is written as a fraction.
            percent = float(value) * (100 if value.startswith('.') else 1)
            found.setdefault(METRICS[name] + suffix, round(percent, 2))
        return found


def read_header(path: Path) -> Header:
    """Read the docstring that a config opens with.

    Args:
        path (Path): The config; it is not executed.

    Returns:
        Header: Its fields.

    Raises:
        LaunchError: If a field is missing.
    """
    text = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
    parts = re.split(r'^(\w+):[ ]+', text, flags=re.MULTILINE)[1:]
    fields = {name: ' '.join(value.split())
              for name, value in zip(parts[::2], parts[1::2])}
    missing = {'Metric', 'Source', 'Status'} - set(fields)
    if missing:
        raise LaunchError(
            f'{path}: the header has no field {", ".join(sorted(missing))}; '
            'docs/configs.md shows what a header has')
    return Header(fields['Metric'], fields['Source'], fields['Status'])
