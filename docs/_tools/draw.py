"""Draw the figures of the documentation: ``python docs/_tools/draw.py``."""

from collections.abc import Callable
from pathlib import Path

import figure_itpn
import figure_layers
import figure_ma2ml
import figure_vheat

IMAGES = Path(__file__).resolve().parents[1] / 'images'
#: File in ``docs/images`` -> what draws it.
FIGURES: dict[str, Callable[[], str]] = {
    'itpn.svg': figure_itpn.draw,
    'layers.svg': figure_layers.draw,
    'ma2ml.svg': figure_ma2ml.draw,
    'vheat.svg': figure_vheat.draw,
}


def main() -> None:
    """Write every figure."""
    for name, figure in FIGURES.items():
        (IMAGES / name).write_text(figure(), 'utf-8')


if __name__ == '__main__':
    main()
