"""Figure: the layers of the package, read from import-linter's contract."""

import re
from pathlib import Path

from svg import Drawing

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
# What a box says below its name. A package that is not here has its name.
ABOUT = {
    'cli': 'commands', 'quickstart': 'first run, page',
    'benchmark': 'time and memory', 'torture': 'what a run survives',
    'demo': 'the page', 'export': 'ONNX, torch.export',
    'inspection': 'data sets, their faults',
    'zoo': 'names of models, metafiles', 'apis': 'load_model',
    'vheat': 'heat conduction', 'itpn': 'backbone, pyramid',
    'ma2ml': 'search', 'engine': 'logic of the tools',
    'datasets': 'generated data', 'compat': 'stacks, checkpoints, CPU',
    'registry': 'scope mmvision_ext', 'ops': 'torch only',
}


def read_layers(root: Path = ROOT) -> list[list[str]]:
    """Read the layers from ``pyproject.toml``.

    Args:
        root (Path): Root of the repository.

    Returns:
        list[list[str]]: Packages, a list a layer, the highest first.
    """
    settings = tomllib.loads((root / 'pyproject.toml').read_text('utf-8'))
    contract = next(c for c in settings['tool']['importlinter']['contracts']
                    if c['type'] == 'layers')
    return [re.findall(r'\w+', layer) for layer in contract['layers']]


def draw() -> str:
    """Draw the figure.

    Returns:
        str: SVG.
    """
    layers = read_layers()
    step, width = 58, 720
    pen = Drawing(width + 190, 76 + step * len(layers), 'Layers of '
                  'mmvision_ext: each imports from those below it only')
    pen.text(24, 34, 'mmvision_ext: a package may import those below it,'
             ' never one beside or above', 'head', 'start')
    for i, names in enumerate(layers):
        y = 52 + step * i
        each = (width - 12 * (len(names) - 1)) / len(names)
        for j, name in enumerate(names):
            kind = 'warm' if 'vheat' in names else 'box'
            pen.box(24 + j * (each + 12), y, each, 46,
                    [name, *([ABOUT[name]] if name in ABOUT else [])], kind)
    bottom = 52 + step * len(layers) - 12
    pen.arrow((width + 56, 56), (width + 56, bottom))
    pen.text(width + 70, (56 + bottom) / 2, 'imports', 'dim', 'start')
    return pen.finish()
