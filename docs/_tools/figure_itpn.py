"""Figure: what iTPN pre-trains, and what goes on to which task."""

from svg import Drawing

_HIDDEN = ((0, 1, 1, 1), (1, 1, 0, 1), (1, 0, 1, 1), (1, 1, 1, 0))
_LEVELS = (('stride 4', 'C/4', 66), ('stride 8', 'C/2', 52),
           ('stride 16', 'C', 38))


def _network(pen: Drawing, x: float, y: float, pyramid: bool) -> None:
    """Backbone, bottom up, and beside it the pyramid, top down."""
    for i, (stride, width, half) in enumerate(_LEVELS):
        level = y + 150 - 75 * i
        pen.box(x - half, level, 2 * half, 46, [
            stride, f'attention, {width}' if i == 2 else f'MLPs, {width}'
        ], 'warm')
        if i:
            pen.arrow((x, level + 75), (x, level + 46))
        if pyramid:
            pen.box(x + 170 - half, level, 2 * half, 46,
                    [stride, 'F channels'], 'warm')
            pen.arrow((x + half, level + 23), (x + 170 - half, level + 23))
            if i < 2:
                pen.arrow((x + 170, level - 29), (x + 170, level))
    pen.text(x, y - 14, 'backbone', 'dim')
    if pyramid:
        pen.text(x + 170, y - 14, 'pyramid', 'dim')


def _heads(pen: Drawing, x: float, y: float, texts: list[list[str]],
           kind: str) -> None:
    """Heads one below the other."""
    for i, lines in enumerate(texts):
        pen.box(x, y + 78 * i, 178, 62, lines, kind)


def draw() -> str:
    """Draw the figure.

    Returns:
        str: SVG.
    """
    pen = Drawing(980, 660, 'iTPN: backbone and pyramid are pre-trained '
                  'together and carried over whole')
    pen.text(24, 32, '1  Pre-training, images without labels', 'head',
             'start')
    pen.cells(40, 118, 22, [['hidden' if cell else 'seen' for cell in row]
                            for row in _HIDDEN])
    pen.text(84, 108, 'patches of 16 x 16')
    pen.text(84, 224, 'grey: hidden', 'small dim')
    pen.arrow((134, 162), (180, 162), (180, 229), (214, 229))
    _network(pen, 280, 66 + 14, True)
    _heads(pen, 640, 88, [
        ['reconstruct', 'pixels (decoder, 8 blocks)', 'or features of CLIP'],
        ['model features (MFM)', 'of every level, optional;',
         'teacher sees the whole image'],
    ], 'gone')
    pen.arrow((516, 178), (590, 178), (590, 119), (640, 119))
    pen.arrow((516, 178), (590, 178), (590, 197), (640, 197))
    pen.text(729, 262, 'left behind after pre-training', 'small dim')
    pen.parts.append('<line class="line" x1="24" y1="312" x2="956" y2="312" '
                     'stroke-dasharray="2 5"/>')
    pen.text(24, 344, '2  Classify', 'head', 'start')
    _network(pen, 130, 380, False)
    pen.box(62, 600, 136, 40, ['mean, linear'], 'cool')
    pen.arrow((168, 403), (222, 403), (222, 620), (198, 620))
    pen.text(320, 344, '3  Detect, segment', 'head', 'start')
    _network(pen, 420, 380, True)
    _heads(pen, 760, 390, [
        ['Mask R-CNN, Cascade', 'strides 4 to 64', '(32, 64 by pooling)'],
        ['UPerNet', 'four levels, raw maps', 'of the backbone appended'],
    ], 'cool')
    pen.arrow((656, 478), (710, 478), (710, 421), (760, 421))
    pen.arrow((656, 478), (710, 478), (710, 499), (760, 499))
    for x, kind, words in ((470, 'warm', 'learnt in 1, carried over'),
                           (660, 'cool', 'starts at random'),
                           (800, 'gone', 'in 1 only')):
        pen.box(x, 612, 18, 18, kind=kind)
        pen.text(x + 26, 626, words, 'small', 'start')
    return pen.finish()
