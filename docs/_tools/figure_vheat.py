"""Figure: the heat conduction operator, with maps that were computed."""

import math
from collections.abc import Callable

from svg import Drawing

_SIDE = 12
_CELL = 8
Map = list[list[float]]


def _basis() -> Map:
    """Orthonormal DCT-II, a row a frequency."""
    return [[math.sqrt((2 - (n == 0)) / _SIDE)
             * math.cos(math.pi * n * (i + 0.5) / _SIDE)
             for i in range(_SIDE)] for n in range(_SIDE)]


def _product(a: Map, b: Map) -> Map:
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)]
            for row in a]


def _turn(a: Map) -> Map:
    return [list(row) for row in zip(*a)]


def _fill(value: Callable[[int, int], float]) -> Map:
    return [[value(i, j) for j in range(_SIDE)] for i in range(_SIDE)]


def conduct() -> tuple[Map, Map, Map, Map]:
    """Conduct the heat of a small map.

    Returns:
        tuple[Map, Map, Map, Map]: Heat, size of its spectrum,
        decay, heat conducted.
    """
    hot = {(3, 3): 1.0, (3, 4): 0.8, (8, 7): 0.9, (7, 7): 0.9, (8, 8): 0.8,
           (4, 3): 0.9, (4, 4): 0.7, (7, 8): 0.8, (9, 7): 0.6}
    heat = _fill(lambda i, j: hot.get((i, j), 0.03))
    basis = _basis()
    spectrum = _product(_product(basis, heat), _turn(basis))
    decay = _fill(lambda n, m: math.exp(
        -1.2 * ((math.pi * n / _SIDE)**2 + (math.pi * m / _SIDE)**2)))
    faded = [[u * d for u, d in zip(*rows)] for rows in zip(spectrum, decay)]
    conducted = _product(_product(_turn(basis), faded), basis)
    return heat, [[abs(u)**0.7 for u in row] for row in spectrum], \
        decay, conducted


def _paint(values: Map) -> list[list[str]]:
    """Colours from dark violet over red to yellow."""
    stops = ((38, 20, 60), (190, 50, 70), (250, 150, 60), (255, 240, 170))
    low, high = min(map(min, values)), max(map(max, values))

    def colour(value: float) -> str:
        place = (value - low) / (high - low) * (len(stops) - 1)
        i = min(int(place), len(stops) - 2)
        mix = [round(a + (b - a) * (place - i))
               for a, b in zip(stops[i], stops[i + 1])]
        return '#{:02x}{:02x}{:02x}'.format(*mix)

    return [[colour(value) for value in row] for row in values]


def draw() -> str:
    """Draw the figure.

    Returns:
        str: SVG.
    """
    pen = Drawing(980, 330, 'The heat conduction operator of vHeat: tokens '
                  'become heat and gate; the heat goes to its frequencies, '
                  'each decays, and comes back')
    size = _SIDE * _CELL
    maps = dict(zip(('u', 'U', 'decay', 'out'), conduct()))
    top = 62
    middle = top + size / 2
    pen.text(20, 30, 'HeatConduction2d', 'head', 'start')
    pen.box(20, middle - 22, 60, 44, ['map', 'B, C, H, W'])
    pen.box(104, middle - 34, 84, 68, ['3x3', 'depthwise,', 'then linear'])
    pen.arrow((80, middle), (104, middle))
    places = dict(u=226, U=384, decay=530, out=688)
    names = dict(u='heat u', U='spectrum U', decay='decay',
                 out='heat conducted')
    for name, x in places.items():
        pen.cells(x, top, _CELL, _paint(maps[name]))
        pen.text(x + size / 2, top - 10, names[name])
    pen.arrow((188, middle), (222, middle))
    pen.arrow((326, middle), (380, middle))
    pen.text(353, middle - 8, 'DCT', 'small')
    pen.text(505, middle + 6, '×', 'head')
    pen.arrow((630, middle), (684, middle))
    pen.text(657, middle - 8, 'inverse', 'small')
    pen.arrow((788, middle), (816, middle))
    pen.box(816, middle - 22, 50, 44, ['norm'])
    pen.arrow((866, middle), (888, middle))
    pen.text(896, middle + 6, '×', 'head')
    pen.arrow((906, middle), (918, middle))
    pen.box(918, middle - 22, 48, 44, ['linear'])
    pen.box(500, 236, 156, 54, ['frequency table',
                                'learnt, one a stage'], 'warm')
    pen.arrow((578, 236), (578, top + size + 4))
    pen.text(588, 216, 'k = ReLU(to_k(table))', 'small', 'start')
    pen.text(588, 231, 'exp(−k (ω²ₙ + ω²ₘ))', 'small', 'start')
    pen.arrow((146, middle + 34), (146, 312), (896, 312), (896, middle + 12))
    pen.text(360, 306, 'gate SiLU(z)', 'small dim')
    pen.text(226, 184, 'warm spots', 'small dim', 'start')
    pen.text(384, 184, 'low frequencies', 'small dim', 'start')
    pen.text(384, 198, 'at the upper left', 'small dim', 'start')
    pen.text(706, 184, 'each token now', 'small dim', 'start')
    pen.text(706, 198, 'knows of all others', 'small dim', 'start')
    return pen.finish()
