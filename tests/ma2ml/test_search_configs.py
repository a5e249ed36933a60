"""The configs of the search: headers, candidates that build, limits."""
import ast
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmvision_ext.compat import adapt_config_for_cpu
from mmvision_ext.datasets import make_toy_data
from mmvision_ext.engine.data_root import replace_data_root
from mmvision_ext.ma2ml import cost as cost_module
from mmvision_ext.ma2ml.cost import ConfigCost, image_shape
from mmvision_ext.ma2ml.spaces import analytic_flops
from mmvision_ext.ma2ml.spec import candidate_config, read_search

REPO = Path(__file__).resolve().parents[2]
SEARCHES = sorted((REPO / 'configs' / 'ma2ml').glob('*.py'))
BASES = sorted((REPO / 'configs' / 'ma2ml' / '_base_').glob('*.py'))
FIELDS = ('Command', 'Metric', 'Source', 'Hardware', 'Status')


def ids(path):
    return path.stem


def read_header(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    parts = re.split(r'^(\w+):[ ]+', text, flags=re.MULTILINE)[1:]
    return {name: ' '.join(value.split())
            for name, value in zip(parts[::2], parts[1::2], strict=True)}


def test_all_are_there():
    assert [p.stem for p in SEARCHES] == [
        'cifar10', 'cifar100', 'imagenet_600m', 'imagenet_800m',
        'maskrcnn_vheat_nuclei', 'toy', 'upernet_itpn_camvid']
    card = (REPO / 'configs' / 'ma2ml' / 'README.md').read_text()
    for path in (*SEARCHES, *BASES):
        assert path.name in card, path.name


@pytest.mark.parametrize('path', [*SEARCHES, *BASES], ids=ids)
def test_header_is_complete(path):
    header = read_header(path)
    assert [f for f in FIELDS if not header.get(f)] == []
    command = header['Command']
    assert str(path.relative_to(REPO)) in command
    for word in command.split():
        if word.startswith('tools/'):
            assert (REPO / word).is_file()
    assert re.match(r'(not run|measured here)\b', header['Status'])
    published = {'imagenet_600m': '79.7', 'imagenet_800m': '80.5'}
    assert ('reported by paper' in header['Metric']) == (
        path.stem in published)
    assert published.get(path.stem, '') in header['Metric']
    if path in SEARCHES:
        assert 'tools/ma2ml_search.py' in command


@pytest.mark.parametrize('path', SEARCHES, ids=ids)
def test_candidates_build_within_the_limit(path):
    spec = read_search(path)
    spec.load_base()
    cost = ConfigCost(spec.flops_input, spec.flops_limit)
    rng = np.random.default_rng(0)
    counted = 0
    for _ in range(60):
        values = spec.space.sample(rng)
        cfg = candidate_config(spec, values)
        shape = spec.flops_input or image_shape(cfg)
        exact = analytic_flops(cfg, shape)
        found = cost(cfg)
        if exact is not None:
            assert exact == found.flops
        if found.params is None:
            assert found.flops > spec.flops_limit
            continue
        # built and run, on the meta device
        assert found.params > 0
        assert spec.flops_limit is None or found.flops <= spec.flops_limit \
            or exact is None
        counted += 1
        if counted == 2:
            break
    assert counted == 2
    assert (analytic_flops(spec.base, (3, 64, 64)) is not None) == (
        path.stem in ('cifar10', 'cifar100', 'imagenet_600m',
                      'imagenet_800m', 'toy'))


def test_imagenet_searches_differ_in_their_limit_alone():
    low, high = (Config.fromfile(p).search.to_dict() for p in SEARCHES
                 if p.stem.startswith('imagenet'))
    assert (low.pop('flops_limit'), high.pop('flops_limit')) == (600e6, 800e6)
    assert low == high


def test_image_size_and_flops_follow_the_resolution():
    spec = read_search(REPO / 'configs/ma2ml/imagenet_600m.py')
    spec.load_base()
    values = spec.space.sample(np.random.default_rng(3))
    found = {}
    for size in (224, 272):
        cfg = candidate_config(spec, {**values, 'nas.resolution': size})
        assert image_shape(cfg) == (3, size, size)
        found[size] = analytic_flops(cfg, (3, size, size))
    # 1.47 by area; the last maps have 9 x 9 pixels instead of 7 x 7
    assert 1.4 < found[272] / found[224] < 1.65


@pytest.fixture(scope='module')
def toy_data(tmp_path_factory):
    return make_toy_data(tmp_path_factory.mktemp('toy') / 'data', train=6,
                         val=6, size=32)


@pytest.mark.parametrize('name', [
    pytest.param('toy', marks=pytest.mark.smoke), 'imagenet_600m',
    'cifar100'])
def test_a_candidate_trains_a_step(name, toy_data, tmp_path, monkeypatch):
    monkeypatch.setattr(Config, 'pretty_text', '')
    spec = read_search(REPO / f'configs/ma2ml/{name}.py')
    spec.load_base()
    values = spec.space.sample(np.random.default_rng(5))
    values.update({'hpo.label_smoothing': 0., 'hpo.mixup': 0.2,
                   'nas.resolution': 32, 'nas.cells': 1, 'nas.width': 8})
    values = {n: v for n, v in values.items() if n in spec.space.names}
    if name == 'imagenet_600m':
        # not a choice, but small
        space = next(p for a, p, _ in spec.parts if a == 'nas')
        space.resolutions = (32, )
    if name == 'cifar100':
        space = next(p for a, p, _ in spec.parts if a == 'nas')
        space.cells, space.widths = (1, ), (8, )
    cfg = candidate_config(spec, values)
    replace_data_root(cfg, str(toy_data / 'imagenet'))
    for key in ('train_dataloader', 'val_dataloader'):
        cfg[key].update(batch_size=2, num_workers=0,
                        persistent_workers=False)
        cfg[key].dataset.indices = 2
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.default_hooks.checkpoint = None
    cfg.work_dir, cfg.experiment_name = str(tmp_path), name
    cfg.log_level = 'WARNING'
    runner = Runner.from_cfg(adapt_config_for_cpu(cfg))
    before = {n: p.detach().clone()
              for n, p in runner.model.named_parameters()}
    runner.train()
    assert runner.iter == 1
    moved = [n for n, p in runner.model.named_parameters()
             if not np.array_equal(p.detach(), before[n])]
    assert any(n.startswith('backbone.stages') for n in moved)
    assert any(n.startswith('head.') for n in moved)
    init_default_scope('mmengine')


@pytest.mark.parametrize('share,expected', [
    # 30 epochs of 300: the warm-up of 5 keeps one
    (0.1, [('LinearLR', 0, 1), ('CosineAnnealingLR', 1, 30)]),
    # one epoch: there is no time for a warm-up
    (0.004, [('CosineAnnealingLR', 0, 1)]),
])
def test_a_proxy_shortens_warm_up_and_schedule(share, expected):
    from mmvision_ext.ma2ml.evaluators.proxy import shorten
    cfg = Config.fromfile(REPO / 'configs/ma2ml/_base_'
                          '/searchable-mobilenet_in1k.py')
    shorten(cfg, share)
    assert cfg.train_cfg.max_epochs == expected[-1][2]
    assert [(s.type, s.begin, s.end) for s in cfg.param_scheduler] == expected


def test_mixing_images_costs_nothing(monkeypatch):
    built = []
    build = cost_module._build
    monkeypatch.setattr(
        cost_module, '_build',
        lambda config: built.append(config) or build(config))
    spec = read_search(REPO / 'configs/ma2ml/cifar10.py')
    spec.load_base()
    values = spec.space.sample(np.random.default_rng(0))
    plain, mixed = (
        ConfigCost((3, 32, 32))(candidate_config(
            spec, {**values, 'hpo.mixup': mixup})) for mixup in (0., 0.2))
    assert plain == mixed
    # Its preprocessor would say so of every candidate.
    assert 'augments' not in str(built[-1])
