"""Generated data, and the command line called as a user calls it."""
from pathlib import Path

import pytest

from mmvision_ext.datasets import make_toy_data


@pytest.fixture(scope='session')
def toy(tmp_path_factory):
    """Data in the three layouts, six images a split."""
    return make_toy_data(tmp_path_factory.mktemp('toy') / 'data set',
                         train=6, val=6, size=64)


@pytest.fixture(scope='session')
def toy_configs(repo_root):
    """The quickstart's configs."""
    return Path(repo_root) / 'configs' / 'quickstart'


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Call the command line in an empty folder: status, output, errors."""
    from mmvision_ext.cli import main
    monkeypatch.chdir(tmp_path)

    def call(*args):
        capsys.readouterr()
        status = main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
