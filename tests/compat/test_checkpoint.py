"""Loading checkpoints: what is read, what is refused, and how it is said."""
import builtins
import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from mmvision_ext.compat import CheckpointError, safe_load
from mmvision_ext.compat.checkpoint import CheckpointNotFoundError


class Runs:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.fixture
def marker(tmp_path):
    """A file that hostile pickles make when they run."""
    return tmp_path / 'it-ran'


def hostile_objects(marker):
    """Objects that make ``marker`` when unpickled, and a name in each."""
    system = Runs(os.system, f'touch {marker}')
    inner = io.BytesIO()
    torch.save(system, inner)
    plain = pickle.dumps(system)
    array = np.empty(1, dtype=object)
    array[0] = system
    code = f'open({str(marker)!r}, "w")'
    return {
        'system': (system, 'posix.system'),
        'nested': ({
            'state_dict': OrderedDict(w=torch.zeros(1)),
            'meta': [({
                'deep': (system, )
            }, )]
        }, 'posix.system'),
        'eval': (Runs(eval, code), 'builtins.eval'),
        'exec': (Runs(builtins.exec, code), 'builtins.exec'),
        'load_from_bytes': (Runs(torch.storage._load_from_bytes,
                                 inner.getvalue()),
                            'torch.storage._load_from_bytes'),
        'loads': (Runs(pickle.loads, plain), 'pickle.loads'),
        'object_array': (array, 'posix.system'),
        'getattr': (Runs(getattr, os, 'system'), 'builtins.getattr'),
    }


HOSTILE = list(hostile_objects('')) if os.name == 'posix' else []


def write_module_pickle(path, marker):
    """Hand-written pickle: os.system by way of getattr, as torch.save zip."""
    data = (b'\x80\x02c__builtin__\ngetattr\n(c__builtin__\n__import__\n'
            b'(X\x02\x00\x00\x00ostRX\x06\x00\x00\x00systemtR(X' +
            len(f'touch {marker}').to_bytes(4, 'little') +
            f'touch {marker}'.encode() + b'tR.')
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', data)
        archive.writestr('archive/version', '3\n')
        archive.writestr('archive/byteorder', 'little')


def assert_refused(marker, name, call, *args, path):
    with pytest.raises(CheckpointError) as caught:
        call(*args)
    message = str(caught.value)
    assert not marker.exists(), 'the pickle ran'
    assert str(path) in message or path.name in message
    assert name in message
    assert 'MMVISION_UNSAFE_LOAD=1' in message


@pytest.mark.smoke
@pytest.mark.parametrize('kind', HOSTILE)
@pytest.mark.parametrize('form', ['zip', 'legacy', 'protocol4'])
def test_hostile_files_are_refused(kind, form, tmp_path, marker):
    content, name = hostile_objects(marker)[kind]
    if kind == 'getattr':
        # a module cannot be pickled; a class can
        content = Runs(getattr, dict, 'fromkeys')
    path = tmp_path / 'evil.pth'
    torch.save(
        content,
        path,
        _use_new_zipfile_serialization=form != 'legacy',
        pickle_protocol=4 if form == 'protocol4' else 2)
    assert_refused(marker, name, safe_load, path, path=path)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_plain_pickles_are_refused(protocol, tmp_path, marker):
    path = tmp_path / 'evil.pth'
    path.write_bytes(
        pickle.dumps({'w': Runs(os.system, f'touch {marker}')}, protocol))
    assert_refused(marker, 'posix.system', safe_load, path, path=path)


def test_hostile_bytes_in_memory_are_refused(tmp_path, marker):
    stream = io.BytesIO()
    torch.save(Runs(os.system, f'touch {marker}'), stream)
    stream.seek(0)
    with pytest.raises(CheckpointError, match='posix.system'):
        safe_load(stream)
    assert not marker.exists()


def test_getattr_chain_is_refused(tmp_path, marker):
    path = tmp_path / 'evil.pth'
    write_module_pickle(path, marker)
    assert_refused(
        marker, 'builtins.__import__', safe_load, path, path=path)


def test_getattr_reaches_no_other_function(tmp_path, marker):
    """Of the allowed class only what mmengine itself saves is granted."""
    logging = pytest.importorskip('mmengine.logging')
    for owner, name in [(logging.HistoryBuffer, 'update'),
                        (logging.HistoryBuffer, '__init__'),
                        (torch.Tensor, 'numpy')]:
        path = tmp_path / 'evil.pth'
        torch.save(Runs(getattr, owner, name), path)
        assert_refused(marker, 'builtins.getattr', safe_load, path, path=path)


def test_getattr_allowed_elsewhere_stays_refused_here(tmp_path, marker):
    path = tmp_path / 'evil.pth'
    torch.save(Runs(getattr, torch.Tensor, 'numpy'), path)
    torch.serialization.add_safe_globals(
        [getattr, (getattr, 'builtins.getattr'), Runs])
    before = set(torch.serialization.get_safe_globals())
    try:
        assert_refused(marker, 'builtins.getattr', safe_load, path, path=path)
        assert set(torch.serialization.get_safe_globals()) == before
    finally:
        torch.serialization.clear_safe_globals()


def test_types_that_the_caller_allows_are_loaded(tmp_path):
    from fractions import Fraction
    path = tmp_path / 'allowed.pth'
    torch.save({'half': Fraction(1, 2)}, path)
    with pytest.raises(CheckpointError, match='fractions.Fraction'):
        safe_load(path)
    with torch.serialization.safe_globals([Fraction]):
        assert safe_load(path) == {'half': Fraction(1, 2)}
    assert Fraction not in torch.serialization.get_safe_globals()


@pytest.mark.smoke
def test_resume_types_are_loaded(tmp_path):
    logging = pytest.importorskip('mmengine.logging')
    path = tmp_path / 'state.pth'
    history = logging.HistoryBuffer([1., 2., 4.], [1, 1, 2])
    torch.save(
        dict(
            history=history,
            arrays=[
                np.arange(3).astype(kind)
                for kind in ('bool', 'int32', 'uint8', 'float16', 'float64')
            ],
            text=np.array(['a', 'bc']),
            scalar=np.float64(0.5),
            integer=np.int64(7),
            cut=slice(1, 3)), path)
    state = safe_load(path)
    assert state['history'].data[0].tolist() == [1., 2., 4.]
    assert state['history'].mean() == pytest.approx(7 / 4)
    assert [a.tolist() for a in state['arrays'][1:]] == [[0, 1, 2]] * 4
    assert state['text'].tolist() == ['a', 'bc']
    assert state['scalar'] == 0.5 and type(state['scalar']) is np.float64
    assert state['integer'] == 7 and state['cut'] == slice(1, 3)


@pytest.mark.parametrize('package', ['numpy.core', 'numpy._core'])
def test_arrays_of_numpy_1_and_2_are_loaded(package, tmp_path):
    """The name of numpy's inner package is replaced in the pickle."""
    path, other = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save({'a': np.arange(4.), 'b': np.float32(2.5)}, path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(
            other, 'w') as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith('data.pkl'):
                for found in (b'numpy._core', b'numpy.core'):
                    data = data.replace(b'c' + found + b'.multiarray',
                                        f'c{package}.multiarray'.encode())
                assert f'c{package}.multiarray\n'.encode() in data
            copy.writestr(name, data)
    state = safe_load(other)
    assert state['a'].tolist() == [0., 1., 2., 3.] and state['b'] == 2.5


@pytest.mark.parametrize('form', ['zip', 'legacy', 'safetensors', 'renamed'])
def test_weights_round_trip(form, tmp_path):
    weights = {'a.weight': torch.rand(3, 4), 'b': torch.arange(5)}
    if form in ('safetensors', 'renamed'):
        safetensors = pytest.importorskip('safetensors.torch')
        # a safetensors file is known by its content as well
        path = tmp_path / ('w.pth' if form == 'renamed' else 'w.safetensors')
        safetensors.save_file(weights, path)
    else:
        path = tmp_path / 'w.pth'
        torch.save(
            weights, path, _use_new_zipfile_serialization=form == 'zip')
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        loaded = safe_load(source)
        assert set(loaded) == set(weights)
        assert all(torch.equal(loaded[k], weights[k]) for k in weights)
    assert safe_load(path, 'meta')['b'].device.type == 'meta'


def write_broken(kind, path):
    whole = io.BytesIO()
    torch.save({'w': torch.zeros(1000)}, whole)
    old = io.BytesIO()
    torch.save({'w': torch.zeros(1000)},
               old,
               _use_new_zipfile_serialization=False)
    content = {
        'empty': b'',
        'truncated': whole.getvalue()[:2000],
        'truncated_legacy': old.getvalue()[:-500],
        'text': b'hello, this is no checkpoint',
        'html': b'<!DOCTYPE html><html><body>404</body></html>',
        'lfs': b'version https://git-lfs.github.com/spec/v1\noid sha256:0',
        'pickle': pickle.dumps({'w': 1}),
        'zip': None,
    }[kind]
    if kind == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('readme.txt', 'nothing')
    else:
        path.write_bytes(content)


@pytest.mark.parametrize('kind,words', [
    ('empty', ('empty', '0 bytes')),
    ('truncated', ('truncated', )),
    ('truncated_legacy', ('truncated', )),
    ('text', ('not a checkpoint', 'hello')),
    ('html', ('HTML', )),
    ('lfs', ('git lfs pull', )),
    ('pickle', ('not a checkpoint', )),
    ('zip', ('not a checkpoint', )),
])
def test_broken_files_are_named_and_explained(kind, words, tmp_path):
    path = tmp_path / 'broken.pth'
    write_broken(kind, path)
    with pytest.raises(CheckpointError) as caught:
        safe_load(path)
    message = str(caught.value)
    assert str(path) in message and '\n' not in message
    for word in words:
        assert word in message
    assert 'MMVISION_UNSAFE_LOAD' not in message


@pytest.mark.parametrize('name', ['w.safetensors', 'w.pth'])
def test_broken_safetensors(name, tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    path = tmp_path / name
    save_file({'w': torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='truncated') as caught:
        safe_load(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    path = tmp_path / 'none.pth'
    with pytest.raises(CheckpointNotFoundError, match='no such') as caught:
        safe_load(path)
    assert isinstance(caught.value, (ValueError, FileNotFoundError))
    assert isinstance(caught.value, FileNotFoundError)
    assert str(path) in str(caught.value)
    with pytest.raises(CheckpointError, match='folder'):
        safe_load(tmp_path)


@pytest.mark.skipif(
    torch.cuda.is_available(), reason='about machines without CUDA')
def test_missing_device_is_explained(tmp_path):
    path = tmp_path / 'w.pth'
    torch.save({'w': torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="w.pth.*map_location='cpu'"):
        safe_load(path, 'cuda')


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / 'script.pt'
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with pytest.raises(CheckpointError, match='TorchScript'):
        safe_load(path)


def test_opting_out_loads_and_warns(tmp_path, marker, monkeypatch):
    path = tmp_path / 'trusted.pth'
    torch.save({'run': Runs(os.system, f'touch {marker}')}, path)
    for value in ('', '0', 'yes'):
        monkeypatch.setenv('MMVISION_UNSAFE_LOAD', value)
        with pytest.raises(CheckpointError):
            safe_load(path)
    monkeypatch.setenv('MMVISION_UNSAFE_LOAD', '1')
    with pytest.warns(UserWarning, match='MMVISION_UNSAFE_LOAD=1.*trusted'):
        assert safe_load(path) == {'run': 0}
    assert marker.exists()


def test_torch_variable_does_not_opt_out(tmp_path, marker, monkeypatch):
    path = tmp_path / 'evil.pth'
    torch.save(Runs(os.system, f'touch {marker}'), path)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    assert_refused(marker, 'posix.system', safe_load, path, path=path)
