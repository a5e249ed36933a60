"""Make the metafiles, the model index and the page of the zoo.

    python -m mmvision_ext.zoo           # write them
    python -m mmvision_ext.zoo --check   # only tell whether they are true
"""

import argparse
import sys
from pathlib import Path

from ..engine.errors import LaunchError
from ..engine.shipped import shipped_root
from .collect import FAMILIES, collect_entries
from .metafile import index_text, metafile_path, metafile_text
from .page import page_text


def make_files(root: Path) -> dict[str, str]:
    """Make the text of every file that comes from the configs.

    Args:
        root (Path): The checkout.

    Returns:
        dict[str, str]: Path, relative to the checkout -> text.
    """
    entries = collect_entries(root)
    files = {metafile_path(family): metafile_text(entries, family)
             for family in FAMILIES}
    files['model-index.yml'] = index_text()
    files['docs/model_zoo.md'] = page_text(entries)
    return files


def main() -> int:
    """Run the command.

    Returns:
        int: 0; 1 after a mistake or, with ``--check``, where a file is not
        what the configs say.
    """
    parser = argparse.ArgumentParser(
        prog='python -m mmvision_ext.zoo',
        description='Make metafiles and the page of the zoo from the configs.')
    parser.add_argument('--check', action='store_true',
                        help='write nothing, tell which files are not true')
    args = parser.parse_args()
    try:
        root = shipped_root()
        if not (root / 'docs').is_dir():
            raise LaunchError(f'{root} is no checkout (it has no docs): the '
                              'files are made in a checkout and installed '
                              'from there')
        stale = [(root / name, text)
                 for name, text in make_files(root).items()
                 if not (root / name).is_file()
                 or (root / name).read_text('utf-8') != text]
    except (LaunchError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    for path, text in stale:
        if not args.check:
            path.write_text(text, 'utf-8')
        print(f'{"not true" if args.check else "wrote"}: {path}')
    return int(args.check and bool(stale))


if __name__ == '__main__':
    sys.exit(main())
