"""Checkpoints that pickle other objects are read without running them."""
import io
import os
import pickle
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mmvision_ext.compat.checkpoint import CheckpointError, safe_load
from mmvision_ext.compat.foreign import ForeignObject, read_foreign


@pytest.fixture
def cfg_node(monkeypatch):
    """A class like the config node of the official files, gone on reading."""
    module = types.ModuleType('foreign_config')

    class CfgNode(dict):
        ran = []

        def __setstate__(self, state):
            type(self).ran.append(state)

    CfgNode.__module__, CfgNode.__qualname__ = 'foreign_config', 'CfgNode'
    module.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, 'foreign_config', module)
    node = CfgNode(MODEL=CfgNode(NAME='vheat'), EPOCHS=300)
    node.__dict__['immutable'] = True
    return node


@pytest.mark.parametrize('zipped', [True, False])
def test_reads_weights_beside_a_config_object(cfg_node, save, zipped):
    base = torch.arange(12.)
    content = {
        'model': {
            'a': base[2:8].view(2, 3).t(),  # strided view
            'b': base,  # same storage
            'p': torch.nn.Parameter(torch.randn(3)),
            'half': torch.randn(4).half(),
            'empty': torch.empty(0, 2),
            'count': torch.tensor(7),
        },
        'config': cfg_node,
        'max_accuracy': np.float64(82.2),
        'classes': {1, 2},
        'raw': b'\x00\xff',
        'epoch': 299,
    }
    path = save(content, zipped=zipped)
    with pytest.raises(CheckpointError, match='foreign_config.CfgNode'):
        safe_load(path)
    read = read_foreign(path)
    assert list(read) == list(content)
    for name, tensor in content['model'].items():
        assert torch.equal(read['model'][name], tensor), name
        assert read['model'][name].dtype == tensor.dtype, name
    assert read['epoch'] == 299 and read['classes'] == {1, 2}
    assert type(read['config']) is ForeignObject
    assert read['config']['MODEL'] == {'NAME': 'vheat'}
    assert type(cfg_node).ran == []
    assert type(read['max_accuracy']) is ForeignObject


class _Call:
    """Pickles to a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('function,args,named', [
    (os.system, ('touch {}', ), 'system'),
    (eval, ('__import__("os").system("touch {}")', ), 'eval'),
    (getattr, (os, 'system'), 'getattr'),
    (pickle.loads, (b'', ), 'loads'),
    (torch.load, ('{}', ), 'torch.serialization.load'),
    (torch.storage._load_from_bytes, (b'', ), '_load_from_bytes'),
    (torch.hub.load, ('{}', ), 'torch.hub'),
])
def test_refuses_what_weights_do_not_need(save, tmp_path, zipped, function,
                                          args, named):
    mark = tmp_path / 'ran'
    args = [a.format(mark) if isinstance(a, str) else a for a in args]
    if function is getattr:  # a module is not picklable
        args = [_Call(__import__, 'os'), 'system']
        named = '__import__|getattr'
    path = save({'model': {'a': torch.ones(1)},
                 'x': _Call(function, *args)}, zipped=zipped)
    with pytest.raises(CheckpointError, match=named):
        read_foreign(path)
    assert not mark.exists()


def _zip_of(tmp_path: Path, pickled: bytes) -> Path:
    path = tmp_path / 'made.pth'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', pickled)
        archive.writestr('archive/version', '3\n')
    return path


@pytest.mark.parametrize('target', [
    b'ctorch._utils\n_rebuild_tensor_v2\n',
    b'ccollections\nOrderedDict\n',
    b'cforeign\nThing\n',
    b'ctorch\nfloat32\n',
])
@pytest.mark.parametrize('state', [
    b'}X\x05\x00\x00\x00valueK\x01s',  # {'value': 1}
    b'N}X\x05\x00\x00\x00valueK\x01s\x86',  # (None, {'value': 1})
])
def test_a_file_cannot_set_attributes_on_what_it_calls(tmp_path, target,
                                                       state):
    path = _zip_of(tmp_path, b'\x80\x02' + target + state + b'b.')
    before = dict(vars(ForeignObject))
    try:
        content = read_foreign(path)
    except CheckpointError:
        content = None
    assert content in (None, ForeignObject)
    assert vars(ForeignObject) == before
    assert not hasattr(torch._utils._rebuild_tensor_v2, 'value')


def test_a_method_of_a_foreign_object_is_not_called(tmp_path):
    # foreign.Thing()() : an object, not a class, is called
    path = _zip_of(tmp_path, b'\x80\x02cforeign\nThing\n)R)R.')
    with pytest.raises(CheckpointError, match='not callable'):
        read_foreign(path)


def test_storage_outside_the_file_is_refused(tmp_path):
    tensor = (b'ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage'
              b'ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu'
              b'K\x02tQK\x00K\x63\x85K\x01\x85\x89Ntq\x00R.')
    path = _zip_of(tmp_path, b'\x80\x02' + tensor)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('archive/data/0', b'\x00' * 8)
    with pytest.raises(CheckpointError, match='storage'):
        read_foreign(path)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('keep', [0.05, 0.5, 0.99])
def test_truncated_file(cfg_node, save, zipped, keep):
    path = save({'model': {'a': torch.randn(4096)}, 'config': cfg_node},
                zipped=zipped)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * keep)])
    with pytest.raises(CheckpointError, match='official.pth'):
        read_foreign(path)


def test_changed_bytes_are_noticed(cfg_node, save):
    path = save({'model': {'a': torch.zeros(4096)}, 'config': cfg_node})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1  # inside the tensor
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match='CRC'):
        read_foreign(path)


def test_other_formats(tmp_path):
    script = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(script))
    with pytest.raises(CheckpointError, match='no checkpoint'):
        read_foreign(script)
    tar = tmp_path / 'old.pth'
    with tarfile.open(tar, 'w') as archive:
        info = tarfile.TarInfo('storages')
        info.size = 2
        archive.addfile(info, io.BytesIO(b'N.'))
    with pytest.raises(CheckpointError, match='tar format'):
        read_foreign(tar)
    text = tmp_path / 'notes.pth'
    text.write_text('weights are elsewhere')
    with pytest.raises(CheckpointError, match='notes.pth'):
        read_foreign(text)
    with pytest.raises(CheckpointError, match='absent.pth'):
        read_foreign(tmp_path / 'absent.pth')
