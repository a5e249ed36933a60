"""A few shapes for the figures of the documentation, as SVG text.

A figure has a ground of its own and follows the light or dark setting of
whoever looks at it, so it can be read on any page.
"""

from collections.abc import Sequence
from html import escape

_STYLE = """
svg{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
.ground{fill:#fffdfa;stroke:#e4ddd4}
text{fill:#2b2622}.dim{fill:#7a6f66}.head{font-weight:600;font-size:15px}
.small{font-size:11px}.mono{font-family:ui-monospace,monospace;font-size:12px}
.box{fill:#f3eee8;stroke:#b9aea2}.warm{fill:#ffe3d3;stroke:#e8744a}
.cool{fill:#dceaf7;stroke:#4d87bd}.gone{fill:none;stroke:#9a9088;
stroke-dasharray:5 4}.line{stroke:#6b6159;fill:none;stroke-width:1.5}
.tip{fill:#6b6159}.hidden{fill:#cfc6bc}.seen{fill:#f29a74}
@media (prefers-color-scheme:dark){
.ground{fill:#211d1a;stroke:#423b35}text{fill:#efe8e1}.dim{fill:#b0a59b}
.box{fill:#322c27;stroke:#75695e}.warm{fill:#5a2f1c;stroke:#e8744a}
.cool{fill:#1d3850;stroke:#6aa5dc}.gone{stroke:#8b8077}
.line{stroke:#b5a99e}.tip{fill:#b5a99e}.hidden{fill:#4a423b}
.seen{fill:#c4683f}}
"""
_LINE = 17


class Drawing:
    """A figure that is drawn shape by shape.

    Args:
        width (int): In pixels.
        height (int): In pixels.
        title (str): What the figure shows, for those who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img">'
            f'<title>{escape(title)}</title><style>{_STYLE}</style>'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
            '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'
            f'<rect class="ground" x="1" y="1" rx="10" width="{width - 2}" '
            f'height="{height - 2}"/>'
        ]

    def text(self, x: float, y: float, words: str, kind: str = '',
             anchor: str = 'middle') -> None:
        """Write one line.

        Args:
            x (float): Of the anchor.
            y (float): Of the base line.
            words (str): The line.
            kind (str): Classes of the style. Defaults to ''.
            anchor (str): ``start``, ``middle`` or ``end``.
        """
        self.parts.append(
            f'<text class="{kind}" x="{x:g}" y="{y:g}" '
            f'text-anchor="{anchor}">{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float,
            lines: Sequence[str] = (), kind: str = 'box') -> None:
        """Draw a box with lines of text in its middle; all but the first dim.

        Args:
            x (float): Left.
            y (float): Top.
            width (float): In pixels.
            height (float): In pixels.
            lines (Sequence[str]): Text.
            kind (str): ``box``, ``warm``, ``cool`` or ``gone``.
        """
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" '
            f'height="{height:g}" rx="6"/>')
        top = y + height / 2 - _LINE * (len(lines) - 1) / 2 + 4.5
        for i, line in enumerate(lines):
            self.text(x + width / 2, top + i * _LINE, line,
                      'small dim' if i else '')

    def arrow(self, *points: tuple[float, float], both: bool = False,
              dashed: bool = False) -> None:
        """Draw a line through points, with a tip at its end.

        Args:
            *points (tuple[float, float]): Two or more.
            both (bool): A tip at the start as well. Defaults to False.
            dashed (bool): Broken line. Defaults to False.
        """
        path = ' '.join(f'{x:g},{y:g}' for x, y in points)
        self.parts.append(
            f'<polyline class="line" points="{path}" marker-end="url(#tip)"'
            + ' marker-start="url(#tip)"' * both
            + ' stroke-dasharray="5 4"' * dashed + '/>')

    def cells(self, x: float, y: float, side: float,
              rows: Sequence[Sequence[str]]) -> None:
        """Draw a grid of coloured squares.

        Args:
            x (float): Left.
            y (float): Top.
            side (float): Of a square.
            rows (Sequence[Sequence[str]]): A class of the style (a word) or
                a colour (with ``#``) for each square.
        """
        for i, row in enumerate(rows):
            for j, paint in enumerate(row):
                look = (f'fill="{paint}"' if paint.startswith('#')
                        else f'class="{paint}"')
                self.parts.append(
                    f'<rect {look} x="{x + j * side:g}" y="{y + i * side:g}" '
                    f'width="{side - 0.6:g}" height="{side - 0.6:g}"/>')

    def finish(self) -> str:
        """The figure as the text of a file."""
        return '\n'.join([*self.parts, '</svg>', ''])
