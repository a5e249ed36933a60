"""Where the configs, tools and metafiles that come with the package are."""

from pathlib import Path

from .errors import LaunchError

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_root() -> Path:
    """The folder with ``configs``, ``tools`` and ``model-index.yml``.

    Returns:
        Path: The checkout, where the package runs from one; else the folder
        ``.mim`` inside the installed package.

    Raises:
        LaunchError: If there is neither.
    """
    # First .mim, whose links an editable installation follows home: beside
    # an installed package, another one may have left a folder `configs`.
    inside = (_PACKAGE / '.mim' / 'configs').resolve().parent
    for root in (inside, _PACKAGE.parent):
        if (root / 'configs' / '_base_').is_dir():
            return root
    raise LaunchError(
        f'no configs beside {_PACKAGE} nor in its folder .mim: this '
        'installation is not complete; install mmvision_ext again')
