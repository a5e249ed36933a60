"""Layout of pictures, and how they become files."""
from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine.errors import LaunchError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of a picture in pixels, unless asked for another.
WIDTH = 1200
SUFFIXES = ('.png', '.webp', '.jpg', '.svg', '.pdf')
#: Sizes are given for a figure of this width and grow with it.
_INCHES = 12.
#: Of a line of the note.
_LETTERS = 150


def require_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        LaunchError: If it is not.
    """
    from importlib.util import find_spec
    if find_spec('matplotlib') is None:
        raise LaunchError('pictures are drawn by matplotlib, which is not '
                          "installed: pip install 'mmvision_ext[pictures]'")


def check_target(out: Path | None, default: str) -> Path:
    """Where a picture goes.

    Args:
        out (Path, optional): As asked for; a file there is replaced.
        default (str): Name in the current folder without ``out``; a file
            there is not replaced.

    Returns:
        Path: The file.

    Raises:
        LaunchError: If the name is none of a picture, or something is in the
            way.
    """
    require_matplotlib()
    path = Path(default) if out is None else out.expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise LaunchError(f'--out {path}: expected the name of a picture, '
                          f'ending in one of {", ".join(SUFFIXES)}')
    if path.is_dir():
        raise LaunchError(f'--out {path} is a folder; give a file in it')
    if out is None and path.exists():
        raise LaunchError(f'{path} exists; to replace it name it with --out '
                          f'{path}, or give another name')
    return path


def new_figure(height: float, title: str, note: str = '') -> Figure:
    """An empty figure with a title.

    Args:
        height (float): Share of the width that it is high, title and note
            not counted.
        title (str): What it shows, in a line.
        note (str): What else is to be known: weights, scales. Defaults to
            none.

    Returns:
        Figure: 12 inches wide.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    lines = [part for line in note.splitlines()
             for part in textwrap.wrap(line, _LETTERS)]
    inches = _INCHES * height + 0.5 + 0.24 * len(lines)
    with rc_context({'font.size': 10}):
        figure = Figure(figsize=(_INCHES, inches), layout='constrained',
                        facecolor='white')
    figure.suptitle(title, fontsize=14, fontweight='bold', x=0.01, ha='left')
    if lines:
        figure.supxlabel('\n'.join(lines), fontsize=10, color='#444444',
                         x=0.01, ha='left')
    return figure


def grid(figure: Figure, rows: int, columns: int,
         heights: Sequence[float] | None = None) -> np.ndarray:
    """Empty cells for images.

    Args:
        figure (Figure): The figure.
        rows (int): Rows of cells.
        columns (int): Columns of cells.
        heights (Sequence[float], optional): Of each row, relative to the
            others. Defaults to all alike.

    Returns:
        np.ndarray: Axes, shape (rows, columns), none visible.
    """
    cells = figure.subplots(rows, columns, squeeze=False,
                            height_ratios=heights)
    for cell in cells.flat:
        cell.set_axis_off()
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.06)
    return cells


def show(cell: Axes, values: np.ndarray, title: str = '',
         **kwargs: Any) -> Any:
    """Put an image or a map of numbers into a cell.

    Args:
        cell (Axes): The cell.
        values (np.ndarray): RGB (H, W, 3) uint8, or numbers (H, W).
        title (str): What stands above. Defaults to nothing.
        **kwargs (Any): Colours and limits, as ``Axes.imshow`` takes them.

    Returns:
        AxesImage: For a colour bar.
    """
    cell.set_axis_on()
    cell.set(xticks=[], yticks=[])
    for spine in cell.spines.values():
        spine.set_visible(False)
    # Large cells stay square; photographs are smoothed.
    smooth = 'antialiased' if values.ndim == 3 else 'nearest'
    image = cell.imshow(values, interpolation=kwargs.pop(
        'interpolation', smooth), **kwargs)
    if title:
        cell.set_title(title, fontsize=10, linespacing=1.25)
    return image


def name_row(cell: Axes, text: str) -> None:
    """Write what a row shows to the left of its first cell."""
    cell.set_axis_on()
    cell.set_ylabel(text, fontsize=11, rotation=0, ha='right', va='center',
                    labelpad=8)


def bar(figure: Figure, image: Any, cells: Sequence[Axes],
        label: str) -> None:
    """A labelled colour bar to the right of some cells.

    Args:
        figure (Figure): The figure.
        image (AxesImage): What :func:`show` returned for one of the cells.
        cells (Sequence[Axes]): All cells that it holds for.
        label (str): What is measured.
    """
    made = figure.colorbar(image, ax=list(cells), shrink=0.9, aspect=18,
                           pad=0.01)
    made.set_label(label, fontsize=9)
    made.ax.tick_params(labelsize=8)
    made.outline.set_visible(False)


def save(figure: Figure, path: Path, width: int = WIDTH) -> tuple[int, int]:
    """Write a figure; a file that is there is replaced whole or not at all.

    Args:
        figure (Figure): The figure.
        path (Path): A file of one of :data:`SUFFIXES`; missing folders are
            made.
        width (int): Width in pixels. Defaults to :data:`WIDTH`.

    Returns:
        tuple[int, int]: Width and height, in pixels.

    Raises:
        LaunchError: If the width is not between 200 and 10000.
        OSError: If the file cannot be written.
    """
    from matplotlib import rc_context
    if not 200 <= width <= 10000:
        raise LaunchError(f'--width {width}: expected 200 to 10000 pixels')
    height = round(width * figure.get_figheight() / _INCHES)
    dpi = width / _INCHES
    figure.set_size_inches(_INCHES, (height + 1e-6) / dpi)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=path.suffix, dir=path.parent,
                                    prefix=f'.{path.stem}-')
    os.close(handle)
    try:
        # No dates: the same call gives the same file.
        with rc_context({'svg.hashsalt': 'mmvision_ext'}):
            figure.savefig(name, dpi=dpi, metadata=_metadata(path.suffix))
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return width, height


def _metadata(suffix: str) -> dict[str, None] | None:
    return {'.svg': {'Date': None}, '.pdf': {'CreationDate': None},
            '.png': {'Software': None}}.get(suffix.lower())
