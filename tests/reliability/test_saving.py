"""Checkpoints are whole or not there; the newest whole one is found."""
import errno
import os
import resource
import zipfile
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmvision_ext.compat import CheckpointError, safe_load
from mmvision_ext.compat.files import remove_drafts, write_atomically
from mmvision_ext.compat.recovery import find_damage, newest_checkpoint
from mmvision_ext.torture.children import run_child


def save(path, value=0.0, size=1000):
    torch.save(dict(state_dict=dict(w=torch.full((size, ), value))), path)
    return path


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / 'a.pth'
    path.write_bytes(b'old')

    def fail(file):
        file.write(b'new' * 1000)
        raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(OSError, match='No space left') as caught:
        write_atomically(path, fail)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.pth']
    write_atomically(path, lambda file: file.write(b'new'))
    assert path.read_bytes() == b'new'
    assert os.listdir(tmp_path) == ['a.pth']


def test_files_are_as_readable_as_others(tmp_path):
    (tmp_path / 'plain').write_text('x')
    write_atomically(tmp_path / 'ours', lambda file: file.write(b'x'))
    assert (tmp_path / 'ours').stat().st_mode == (
        tmp_path / 'plain').stat().st_mode


def test_drafts_of_killed_writes_are_removed(tmp_path):
    (tmp_path / '.epoch_1.pth.abc.part').write_bytes(b'half')
    (tmp_path / '.other.part').write_bytes(b'not ours')
    save(tmp_path / 'epoch_1.pth')
    assert remove_drafts(tmp_path) == ['.epoch_1.pth.abc.part']
    assert sorted(os.listdir(tmp_path)) == ['.other.part', 'epoch_1.pth']


@pytest.mark.smoke
def test_mmengine_writes_in_one_step(tmp_path):
    """On a disk with no room the old file stays, with a clear error."""
    path = save(tmp_path / 'epoch_1.pth', 1.0)
    big = dict(state_dict=dict(w=torch.zeros(100_000)))

    def body():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            mmengine_checkpoint.save_checkpoint(big, str(path))
        except OSError as error:
            return 7 if error.filename == str(path) else 8
        return 9

    assert run_child(body, tmp_path / 'log') == 7
    assert safe_load(path)['state_dict']['w'][0] == 1.0
    assert sorted(os.listdir(tmp_path)) == ['epoch_1.pth', 'log']
    mmengine_checkpoint.save_checkpoint(big, str(path))
    assert safe_load(path)['state_dict']['w'].numel() == 100_000


@pytest.mark.parametrize('keep', [1, 2])
def test_old_checkpoints_go_after_the_new_one_is_there(tmp_path, keep):
    """A save that fails costs nothing."""
    hook = CheckpointHook(interval=1, max_keep_ckpts=keep)
    fails = []

    def save_checkpoint(out_dir, filename, *args, **kwargs):
        if fails:
            raise OSError(errno.ENOSPC, 'No space left on device')
        save(tmp_path / filename)

    runner = SimpleNamespace(
        work_dir=str(tmp_path), save_checkpoint=save_checkpoint,
        message_hub=MessageHub(f'keep {keep}'),
        logger=SimpleNamespace(info=lambda *args: None),
        iter=0, epoch=0)
    hook.before_train(runner)
    for epoch in range(3):
        runner.epoch = epoch
        hook._save_checkpoint(runner)
    kept = [f'epoch_{number}.pth' for number in range(4 - keep, 4)]
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == kept
    fails.append(True)
    runner.epoch = 3
    with pytest.raises(OSError):
        hook._save_checkpoint(runner)
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == kept
    assert newest_checkpoint(tmp_path).path == str(tmp_path / 'epoch_3.pth')


def test_every_truncation_is_noticed(tmp_path):
    whole = save(tmp_path / 'epoch_2.pth').read_bytes()
    cut = tmp_path / 'cut.pth'
    for size in range(0, len(whole), 256):
        cut.write_bytes(whole[:size])
        assert find_damage(cut), size
    cut.write_bytes(whole)
    assert find_damage(cut) is None


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    path = save(tmp_path / 'epoch_2.pth', 1.0)
    with zipfile.ZipFile(path) as archive:
        entry = next(i for i in archive.infolist()
                     if i.filename.endswith('data/0'))
    flip(path, entry.header_offset + 200)
    assert 'checksum' in find_damage(path)


def test_going_back_to_the_one_before(tmp_path):
    assert newest_checkpoint(tmp_path).path is None
    older, newer = (save(tmp_path / f'iter_{n}.pth') for n in (100, 200))
    os.utime(older, (1, 1))
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text(str(newer))
    assert newest_checkpoint(tmp_path).path == str(newer)
    assert newest_checkpoint(tmp_path).notes == ()
    newer.write_bytes(newer.read_bytes()[:500])
    found = newest_checkpoint(tmp_path)
    assert found.path == str(older)
    assert f'{newer} cannot be resumed from: it is cut short' in found.notes[0]
    assert mmengine_checkpoint.find_latest_checkpoint(
        str(tmp_path)) == str(older)
    older.write_bytes(b'')
    with pytest.raises(CheckpointError, match='no other checkpoint'):
        newest_checkpoint(tmp_path)
    assert older.exists() and newer.exists()


@pytest.mark.parametrize('text', ['', '\0\0\0', '/gone/iter_900.pth'])
def test_a_pointer_that_leads_nowhere(tmp_path, text):
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text(text)
    with pytest.raises(CheckpointError, match=f'remove {pointer}'):
        newest_checkpoint(tmp_path)
    good = save(tmp_path / 'epoch_7.pth')
    found = newest_checkpoint(tmp_path)
    assert found.path == str(good)
    assert str(pointer) in found.notes[0]
    assert pointer.read_text() == text


def test_a_moved_folder(tmp_path):
    good = save(tmp_path / 'epoch_7.pth')
    (tmp_path / 'last_checkpoint').write_text('/old/place/epoch_7.pth')
    assert newest_checkpoint(tmp_path).path == str(good)
