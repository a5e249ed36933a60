"""The teacher, its files and its cache."""

import copy
import zipfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmvision_ext.compat.checkpoint import (
    CheckpointError,
    CheckpointNotFoundError,
)
from mmvision_ext.compat.torchscript import is_torchscript, read_torchscript
from mmvision_ext.itpn.pretrain import CLIPTeacher
from mmvision_ext.itpn.pretrain.clip_tower import read_clip_weights
from mmvision_ext.itpn.pretrain.feature_cache import FeatureCache, digest_of

WIDTH, PATCH, GRID, OUT = 128, 4, 3, 5


def clip_weights(depth=2):
    """Random weights under the released names, visual part only."""
    generator = torch.Generator().manual_seed(0)

    def some(*shape):
        return 0.2 * torch.randn(*shape, generator=generator)

    weights = {
        'conv1.weight': some(WIDTH, 3, PATCH, PATCH),
        'class_embedding': some(WIDTH),
        'positional_embedding': some(GRID**2 + 1, WIDTH),
        'proj': some(WIDTH, OUT),
    }
    for name in ('ln_pre', 'ln_post'):
        weights[f'{name}.weight'] = 1 + some(WIDTH)
        weights[f'{name}.bias'] = some(WIDTH)
    for i in range(depth):
        block = f'transformer.resblocks.{i}.'
        for name, rows, columns in (('attn.in_proj_', 3 * WIDTH, WIDTH),
                                    ('attn.out_proj.', WIDTH, WIDTH),
                                    ('mlp.c_fc.', 4 * WIDTH, WIDTH),
                                    ('mlp.c_proj.', WIDTH, 4 * WIDTH)):
            weights[f'{block}{name}weight'] = some(rows, columns)
            weights[f'{block}{name}bias'] = some(rows)
        for name in ('ln_1', 'ln_2'):
            weights[f'{block}{name}.weight'] = 1 + some(WIDTH)
            weights[f'{block}{name}.bias'] = some(WIDTH)
    return weights


def formula(weights, images):
    """CLIP's visual transformer, written out; double precision."""
    w = {name: value.double() for name, value in weights.items()}

    def norm(x, name):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * w[f'{name}.weight'] + w[
            f'{name}.bias']

    def linear(x, name):
        return x @ w[f'{name}weight'].T + w[f'{name}bias']

    cells = images.double().unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    # (B, 3, g, g, p, p) -> (B, g * g, 3 * p * p)
    x = cells.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    x = x @ w['conv1.weight'].flatten(1).T
    x = torch.cat([w['class_embedding'].expand(len(x), 1, -1), x], 1)
    x = norm(x + w['positional_embedding'], 'ln_pre')
    i = 0
    while f'transformer.resblocks.{i}.ln_1.weight' in w:
        block = f'transformer.resblocks.{i}.'
        q, k, v = (
            part.unflatten(-1, (-1, 64)).transpose(1, 2) for part in linear(
                norm(x, f'{block}ln_1'), f'{block}attn.in_proj_').chunk(3, -1))
        mixed = (q @ k.mT / 8).softmax(-1) @ v
        x = x + linear(
            mixed.transpose(1, 2).flatten(2), f'{block}attn.out_proj.')
        y = linear(norm(x, f'{block}ln_2'), f'{block}mlp.c_fc.')
        x = x + linear(y * torch.sigmoid(1.702 * y), f'{block}mlp.c_proj.')
        i += 1
    return (norm(x, 'ln_post') @ w['proj'])[:, 1:]


class Nest(nn.Module):
    """A module with parameters of any dotted names."""

    def __init__(self, weights):
        super().__init__()
        self.input_resolution = GRID * PATCH
        for name, value in weights.items():
            place = self
            *parts, last = name.split('.')
            for part in parts:
                if part not in place._modules:
                    place.add_module(part, nn.Module())
                place = place._modules[part]
            place.register_parameter(
                last, nn.Parameter(value, requires_grad=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.logit_scale


def save_script(path, dtype):
    """An archive as the released ones: both towers' names, half precision."""
    weights = {f'visual.{k}': v for k, v in clip_weights().items()}
    weights['logit_scale'] = torch.tensor(1.)
    weights['token_embedding.weight'] = torch.ones(3, 2)
    torch.jit.script(Nest(weights).to(dtype)).save(path)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 3, 12, 12, generator=generator)


@pytest.fixture
def state_file(tmp_path):
    torch.save(clip_weights(), tmp_path / 'clip.pt')
    return tmp_path / 'clip.pt'


def test_features_by_the_formula(state_file, images):
    teacher = CLIPTeacher(state_file, img_size=12)
    features = teacher(images)
    assert features.shape == (3, 9, OUT)
    assert not features.requires_grad
    expected = formula(clip_weights(), images)
    assert (features - expected).abs().max() < 5e-5
    exact = teacher.double()(images.double())
    assert (exact - expected).abs().max() < 1e-10


def test_compiled_tower(state_file, images, tmp_path, monkeypatch):
    # Capturing is what can fail; generating code takes a minute here.
    compile_module = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, 'compile', lambda self, **kwargs: compile_module(
            self, backend='aot_eager', **kwargs))
    plain = CLIPTeacher(state_file, img_size=12)
    teacher = CLIPTeacher(state_file, img_size=12, compile=True,
                          cache_dir=tmp_path / 'kept')
    torch._dynamo.utils.counters.clear()
    features = teacher(images)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == 1
    assert (features - plain(images)).abs().max() < 5e-5
    assert torch.equal(teacher(images), features)
    assert list(teacher.state_dict()) == []
    twin = copy.deepcopy(teacher)
    assert (twin(images[:1]) - features[:1]).abs().max() < 5e-5


def test_features_by_mmpretrain(state_file, images):
    helper = pytest.importorskip(
        'mmpretrain.models.utils.clip_generator_helper',
        reason='compares with the tower in mmpretrain')
    tower = helper.VisionTransformer(12, PATCH, WIDTH, 2, 2, OUT)
    tower.load_state_dict(clip_weights())
    with torch.no_grad():
        expected = tower.eval()(images)[0][:, 1:]
    features = CLIPTeacher(state_file, img_size=12)(images)
    assert (features - expected).abs().max() < 1e-5


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_released_archive(tmp_path, images, dtype):
    path = tmp_path / 'ViT.pt'
    save_script(path, dtype)
    assert is_torchscript(path)
    found = read_torchscript(path)
    expected = torch.jit.load(path).state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype == dtype
        assert torch.equal(found[name], value)
    weights = read_clip_weights(path)
    assert weights.keys() == clip_weights().keys()
    features = CLIPTeacher(path, img_size=12).double()(images.double())
    assert (features - formula(weights, images)).abs().max() < 1e-10


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_no_code_of_an_archive_runs(tmp_path):
    path = tmp_path / 'ViT.pt'
    save_script(path, torch.float32)
    hostile = tmp_path / 'hostile.pt'
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(hostile, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith('/data.pkl'):
                data = b'cos\nsystem\n(V_\ntR.'
            new.writestr(name, data)
    with pytest.raises(CheckpointError, match='os.system'):
        CLIPTeacher(hostile, img_size=12)
    # compiled by torch.jit.load, but not read here: broken code is no matter
    broken = tmp_path / 'broken.pt'
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(broken, 'w') as new:
        for name in old.namelist():
            new.writestr(
                name,
                b'import os' if name.endswith('.py') else old.read(name))
    assert read_clip_weights(broken).keys() == clip_weights().keys()


@pytest.mark.parametrize('wrap', [
    lambda w: {f'visual.{k}': v for k, v in w.items()} | {
        'logit_scale': torch.tensor(1.)},
    lambda w: dict(state_dict=w),
    lambda w: dict(model={f'visual.{k}': v for k, v in w.items()}),
    lambda w: {k: v.half().float() for k, v in w.items()},
])
def test_forms_of_state_dicts(tmp_path, images, wrap):
    torch.save(wrap(clip_weights()), tmp_path / 'clip.pt')
    features = CLIPTeacher(tmp_path / 'clip.pt', img_size=12)(images)
    expected = formula(clip_weights(), images)
    assert (features - expected).abs().max() < 2e-2


def test_other_sizes(state_file):
    images = torch.randn(2, 3, 16, 16)
    weights = clip_weights()
    square = weights['positional_embedding'][1:].T.reshape(1, WIDTH, 3, 3)
    square = F.interpolate(square, (4, 4), mode='bicubic')
    weights['positional_embedding'] = torch.cat(
        [weights['positional_embedding'][:1],
         square.reshape(WIDTH, 16).T])
    features = CLIPTeacher(state_file, img_size=16).double()(images.double())
    assert (features - formula(weights, images)).abs().max() < 1e-10
    with pytest.raises(ValueError, match='img_size is 14'):
        CLIPTeacher(state_file, img_size=14)
    with pytest.raises(ValueError, match=r'3, 12, 12\): give'):
        CLIPTeacher(state_file, img_size=12)(images)


def test_files_that_are_not_it(tmp_path, state_file):
    with pytest.raises(CheckpointNotFoundError, match='ViT-B-16.pt'):
        CLIPTeacher(tmp_path / 'ViT-B-16.pt')
    torch.save(dict(state_dict={'layer1.0.conv1.weight': torch.ones(1)}),
               tmp_path / 'resnet.pth')
    with pytest.raises(CheckpointError, match='no visual transformer'):
        CLIPTeacher(tmp_path / 'resnet.pth')
    data = state_file.read_bytes()
    (tmp_path / 'cut.pt').write_bytes(data[:len(data) // 2])
    with pytest.raises(CheckpointError, match='cut.pt.*truncated'):
        CLIPTeacher(tmp_path / 'cut.pt')
    torch.save(dict(model=Path('x'), f=copy.deepcopy), tmp_path / 'code.pt')
    with pytest.raises(CheckpointError, match='could run code'):
        CLIPTeacher(tmp_path / 'code.pt')
    weights = clip_weights()
    del weights['transformer.resblocks.1.mlp.c_fc.bias']
    torch.save(weights, tmp_path / 'short.pt')
    with pytest.raises(CheckpointError, match='linear1.bias'):
        CLIPTeacher(tmp_path / 'short.pt', img_size=12)


def test_teacher_is_no_part_of_the_model(pretrain, state_file):
    # as many patches as the student: 64 / 16 = 16 / 4
    model = pretrain.build_clip(
        teacher=dict(
            type='mmvision_ext.CLIPTeacher',
            checkpoint=str(state_file),
            img_size=16),
        teacher_dims=OUT)
    assert not any('teacher' in name for name in model.state_dict())
    assert not list(model.teacher.parameters())
    tower = model.teacher._hidden[0]
    model.train()
    assert not tower.training
    model.double()
    assert tower.proj.dtype == torch.float64
    losses = model.loss(
        [torch.randn(2, 3, 64, 64).double(),
         torch.rand(2, 3, 16, 16).double()],
        mask=torch.rand(2, 16) < 0.5)
    sum(losses.values()).backward()
    assert tower.proj.grad is None
    assert 'width=128, depth=2, out_dims=5' in repr(model)


def test_cache_round_trip(state_file, images, tmp_path):
    plain = CLIPTeacher(state_file, img_size=12)
    cached = CLIPTeacher(state_file, img_size=12, cache_dir=tmp_path / 'c')
    expected = plain(images)
    calls = []
    tower = cached._hidden[0]
    cached._hidden = (
        type('Counted', (nn.Module, ), dict(
            forward=lambda self, x: calls.append(len(x)) or tower(x)))(), )
    assert torch.equal(cached(images), expected)
    assert torch.equal(cached(images), expected)
    assert calls == [3]
    # one new image among known ones, in another order
    new = torch.randn(1, 3, 12, 12)
    mixed = torch.cat([images[2:], new, images[:1]])
    assert torch.allclose(cached(mixed), plain(mixed), atol=1e-5)
    assert calls == [3, 1]
    assert torch.equal(cached(mixed)[[2, 0]], expected[[0, 2]])
    files = list((tmp_path / 'c').rglob('*'))
    assert sum(file.is_file() for file in files) == 4
    assert not [file for file in files if file.suffix == '.part']


def test_cache_knows_its_teacher(state_file, images, tmp_path):
    folders = set()
    weights = clip_weights()
    for size, change in ((12, 0.), (12, 1e-6)):
        weights['class_embedding'][0] += change
        torch.save(weights, state_file)
        teacher = CLIPTeacher(
            state_file, img_size=size, cache_dir=tmp_path / 'c')
        teacher(images)
        folders.add(teacher.cache.folder)
    assert len(folders) == 2


def test_damaged_entries_are_computed_again(tmp_path):
    cache = FeatureCache(tmp_path, 'someone')
    images = torch.rand(2, 3, 4, 4)
    calls = []

    def compute(x):
        calls.append(len(x))
        return x.mean((2, 3)).half()

    expected = cache.fetch(images, compute)
    assert expected.dtype == torch.float16
    first = cache._path(digest_of(images[0]))
    whole = first.read_bytes()
    for damaged in (b'', whole[:10], whole[:-1], whole[:20] + b'?' +
                    whole[21:], whole + b'0'):
        first.write_bytes(damaged)
        assert torch.equal(cache.fetch(images, compute), expected)
        assert first.read_bytes() == whole
    assert calls == [2] + [1] * 5


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, 'someone')

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(KeyboardInterrupt):
        cache.fetch(torch.rand(1, 3, 4, 4), lambda x: x)
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]


def test_digests_tell_shape_and_type():
    x = torch.zeros(2, 3)
    others = [x.T, x.double(), x.flatten(), x + 1, x.to(torch.int32)]
    assert len({digest_of(value) for value in [x, *others]}) == 6
    assert digest_of(x) == digest_of(torch.zeros(3, 2).T)
