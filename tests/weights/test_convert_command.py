"""Converting from file to file: the command, what it refuses and leaves."""
import subprocess
import sys

import pytest
import torch

from mmvision_ext.apis import load_model
from mmvision_ext.engine.convert_cli import convert_file, main


def test_views_do_not_drag_their_storage(official, save, tmp_path):
    state = official()
    pool = torch.zeros(4_000_000)
    pool[:16] = state['outnorm0.bias']
    state['outnorm0.bias'] = pool[:16]
    convert_file(save(state), tmp_path / 'dst.pth')
    assert (tmp_path / 'dst.pth').stat().st_size < 4_000_000


def test_command(official, save, tmp_path, repo_root):
    src = save({'model': official(classes=5)}, 'my weights.pth')
    dst = tmp_path / 'new folder' / 'out put.pth'
    command = [sys.executable, str(repo_root / 'tools/convert_weights.py'),
               str(src), str(dst)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'recognised: vHeat classification (custom: embed_dims 16' in \
        done.stdout
    assert 'matched 115, renamed 115, reshaped 10, resized 0, dropped 0' in \
        done.stdout
    assert [p.name for p in dst.parent.iterdir()] == ['out put.pth']
    assert load_model(dst)(torch.randn(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize('case,message', [
    ('absent', 'no such checkpoint'),
    ('truncated', 'truncated'),
    ('foreign', 'known family'),
    ('exists', '--force replaces it'),
    ('itself', 'is the source itself'),
    ('folder', 'is a folder'),
])
def test_command_refuses_in_one_line(official, save, tmp_path, capsys, case,
                                     message):
    state = {'w': torch.ones(3)} if case == 'foreign' else official()
    src, dst = save(state), tmp_path / 'dst.pth'
    if case == 'absent':
        src = tmp_path / 'absent.pth'
    elif case == 'truncated':
        src.write_bytes(src.read_bytes()[:20000])
    elif case == 'exists':
        dst.write_text('mine')
    elif case == 'itself':
        dst = src
    elif case == 'folder':
        dst.mkdir()
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert main([str(src), str(dst)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ''
    assert printed.err.count('\n') == 1 and message in printed.err
    assert {p.name: p.stat().st_mtime_ns
            for p in tmp_path.iterdir()} == before


def test_force_replaces(official, save, tmp_path, capsys):
    src, dst = save(official(classes=5)), tmp_path / 'dst.pth'
    dst.write_text('old')
    assert main([str(src), str(dst), '--force']) == 0
    assert 'written: ' in capsys.readouterr().out
    assert load_model(dst).head.fc.out_features == 5
