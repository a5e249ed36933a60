"""The command line starts at once and sets up what a command needs."""
import os
import subprocess
import sys

import pytest

from mmvision_ext.cli import COMMANDS


def run(repo_root, *args):
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(repo_root)}, timeout=300)


@pytest.mark.smoke
@pytest.mark.parametrize('command', sorted(COMMANDS))
def test_help_imports_no_torch(command, repo_root):
    done = run(repo_root, '-X', 'importtime', '-m', 'mmvision_ext', command,
               '--help')
    assert done.returncode == 0
    assert done.stdout.startswith(f'usage: python -m mmvision_ext {command}')
    loaded = {line.rpartition('|')[2].strip()
              for line in done.stderr.splitlines()}
    assert 'mmvision_ext.cli' in loaded
    assert not loaded & {'torch', 'mmengine', 'numpy'}


@pytest.mark.smoke
def test_words_of_another_program_put_nothing_off(repo_root):
    done = run(repo_root, '-c', 'import sys, mmvision_ext; '
               'print("mmvision_ext.vheat" in sys.modules)', '-m',
               'mmvision_ext')
    assert done.stdout == 'True\n'


@pytest.mark.smoke
@pytest.mark.parametrize('flags', [('-m', 'mmvision_ext'),
                                   ('-mmmvision_ext', ), ('-Bm',
                                                          'mmvision_ext')])
def test_a_command_reaches_its_mistake(flags, repo_root):
    done = run(repo_root, *flags, 'convert', 'none.pth', 'new.pth')
    assert done.returncode == 1
    assert done.stderr == ('error: none.pth: no such checkpoint file; check '
                           'the path\n')


@pytest.mark.smoke
def test_what_an_import_prepares_a_command_prepares(repo_root):
    """Put off or not, the same modules of the package are there."""
    show = ('print(sorted(m for m in sys.modules '
            'if m.startswith("mmvision_ext.")))')
    at_once = run(repo_root, '-c', f'import sys, mmvision_ext; {show}')
    later = run(
        repo_root, '-c', 'import sys; argv = sys.argv, sys.orig_argv; '
        'sys.argv = ["-m"]; sys.orig_argv = ["mmvision_ext"]; '
        'import mmvision_ext; '
        'sys.argv, sys.orig_argv = argv; '
        'assert "torch" not in sys.modules; '
        f'mmvision_ext.prepare(); {show}')
    assert at_once.returncode == later.returncode == 0, later.stderr
    assert 'mmvision_ext.zoo.hub' in at_once.stdout
    assert later.stdout == at_once.stdout
