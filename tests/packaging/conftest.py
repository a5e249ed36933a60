"""A copy of the checkout, what is built of it, and places to install it."""
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

CARD = """\
Collections:
- Name: Heat
Models:
- Name: heat_nano
  In Collection: Heat
  Config: configs/quickstart/vheat-nano_toy_cls.py
  Metadata: {Training Data: generated}
"""


def source_files(root: Path) -> list[Path]:
    """What a checkout holds, relative to it, as far as git knows."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=root, capture_output=True, text=True,
        check=False)
    if listed.returncode == 0:
        names = [Path(name) for name in listed.stdout.split('\0') if name]
        return [name for name in names if (root / name).is_file()]
    # A source distribution, which never holds anything else.
    return [path.relative_to(root) for path in root.rglob('*')
            if path.is_file() and not {'__pycache__', 'work_dirs', '.mim'}
            & set(path.parts) and path.suffix != '.pyc'
            and not path.relative_to(root).parts[0].startswith('.venv')]


@pytest.fixture(scope='package')
def checkout(repo_root: Path,
             tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, in a folder with a space in its name."""
    copy = tmp_path_factory.mktemp('package') / 'source with space'
    for name in source_files(repo_root):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repo_root / name, copy / name)
    index = copy / 'model-index.yml'
    if not index.exists():
        index.write_text('Import:\n- configs/vheat/metafile.yml\n')
        (copy / 'configs/vheat/metafile.yml').write_text(CARD)
    # What tools leave in a checkout must not be shipped.
    for folder in ('configs/vheat', 'tools', 'mmvision_ext/ops'):
        cache = copy / folder / '__pycache__'
        cache.mkdir()
        (cache / 'left.cpython-311.pyc').touch()
    # Nor may these become packages of their own.
    for folder in ('configs', 'docker', 'tests', 'tools'):
        (copy / folder / '__init__.py').touch()
    return copy


@pytest.fixture(scope='package')
def built(checkout: Path) -> dict[str, Path]:
    """The source distribution, and the wheel that is built of it."""
    out = checkout.parent / 'dist'
    subprocess.run(
        [sys.executable, '-m', 'build', '--no-isolation', '--outdir', out,
         checkout], check=True, capture_output=True)
    files = {path.suffix: path for path in out.iterdir()}
    assert set(files) == {'.gz', '.whl'}
    return dict(sdist=files['.gz'], wheel=files['.whl'])


@pytest.fixture(scope='package')
def install(tmp_path_factory: pytest.TempPathFactory
            ) -> Callable[[Path], tuple[Path, Path]]:
    """Install a wheel in an environment with all but this package."""

    def place(wheel: Path) -> tuple[Path, Path]:
        """Give the interpreter and the folder of packages."""
        root = tmp_path_factory.mktemp('venv')
        subprocess.run([sys.executable, '-m', 'venv', '--without-pip', root],
                       check=True)
        python = root / 'bin' / 'python'
        packages = Path(subprocess.run(
            [python, '-c', 'import sysconfig; '
             'print(sysconfig.get_path("purelib"))'],
            check=True, capture_output=True, text=True).stdout.strip())
        subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps',
             '--no-index', '--target', packages, wheel], check=True)
        # As a plain line the folder is searched last, and its own .pth
        # files, such as that of an editable install, are not read.
        (packages / 'shared.pth').write_text(sysconfig.get_path('purelib'))
        return python, packages

    return place
