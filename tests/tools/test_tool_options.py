"""Command line options and their merging into a config."""
import pytest

from mmvision_ext.engine import options as tool_options
from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.engine.options import merge_options, train_parser

pytest.importorskip('mmengine', reason='options are read as mmengine does')
from mmengine.config import Config  # noqa: E402


def _parse(*options: str) -> dict:
    return train_parser().parse_args(
        ['c.py', '--cfg-options', *options]).cfg_options


def test_values_are_read_as_mmengine_reads_them():
    options = _parse('a=1', 'b.c=0.5', 'd=True', 'e=None', 'f=x,2',
                     'g=[(1, 2),(3,4)]', 'h=k=v', 'i="[a,b]"')
    assert options == dict(
        a=1, d=True, e=None, f=['x', 2], g=[(1, 2), (3, 4)], h='k=v',
        i=['a', 'b'], **{'b.c': 0.5})


def test_a_path_keeps_its_spaces_and_commas():
    options = _parse('x=/my data/a b', 'data_root=/d, e/[1]',
                     'model.init_cfg.checkpoint=/d, e/f.pth')
    assert options == {
        'x': '/my data/a b',
        'data_root': '/d, e/[1]',
        'model.init_cfg.checkpoint': '/d, e/f.pth'
    }


@pytest.mark.parametrize('pair, reason', [
    ('lr', 'expected KEY=VALUE'),
    ('=3', 'expected KEY=VALUE'),
    ('scale=[(1,2', 'brackets'),
])
def test_bad_pairs_end_in_one_line(capsys, pair, reason):
    with pytest.raises(SystemExit) as error:
        _parse(pair)
    assert error.value.code == 2
    line = capsys.readouterr().err
    assert line.count('\n') == 1
    assert repr(pair) in line and reason in line


def test_unknown_arguments_end_in_one_line(capsys):
    with pytest.raises(SystemExit) as error:
        tool_options.test_parser().parse_args(['c.py'])
    assert error.value.code == 2
    line = capsys.readouterr().err
    assert line.count('\n') == 1 and 'checkpoint' in line


def test_resume_takes_an_optional_path():
    parser = train_parser()
    assert parser.parse_args(['c.py']).resume is None
    assert parser.parse_args(['c.py', '--resume']).resume == 'auto'
    assert parser.parse_args(['c.py', '--resume', 'x.pth']).resume == 'x.pth'


def _config() -> Config:
    return Config(
        dict(
            model=dict(backbone=dict(type='VHeat', with_cp=False)),
            train_dataloader=dict(batch_size=2, dataset=dict(
                pipeline=[dict(type='Load'), dict(type='Resize')])),
            train_cfg=dict(max_epochs=3)))


@pytest.mark.parametrize('key, value', [
    ('model.backbone.with_cp', True),
    ('model.backbone.drop_path_rate', 0.1),
    ('model.backbone.init_cfg.type', 'Pretrained'),
    ('train_dataloader.dataset.pipeline.1.scale', 5),
    ('load_from', 'x.pth'),
    ('randomness.seed', 3),
    ('auto_scale_lr.base_batch_size', 8),
    ('val_cfg', None),
])
def test_accepted(key, value):
    cfg = _config()
    merge_options(cfg, {key: value})
    node = cfg
    for part in key.split('.'):
        node = node[int(part)] if part.isdigit() else node[part]
    assert node == value


@pytest.mark.parametrize('key, value, message', [
    ('train_dataloder.batch_size', 4, "mean 'train_dataloader'"),
    ('nonsense', 4, "no 'nonsense'"),
    ('model.bakbone.depth', 4, "mean 'backbone'"),
    ('train_dataloader.batch_size', 'four', 'expected a number'),
    ('model.backbone.with_cp', 'yes', 'expected True or False'),
    ('model.backbone', 'ResNet', 'model.backbone.type='),
    ('train_cfg.max_epochs.x', 1, 'does not fit'),
    ('train_dataloader.dataset.pipeline.7.scale', 1, 'exceeds the length'),
])
def test_refused(key, value, message):
    cfg = _config()
    with pytest.raises(LaunchError) as error:
        merge_options(cfg, {key: value})
    line = str(error.value)
    assert message in line and f'{key}={value}' in line
    assert '\n' not in line


def test_delete_works_in_any_order():
    pairs = [('model.backbone.type', 'R'), ('model.backbone._delete_', True)]
    for options in (pairs, pairs[::-1]):
        cfg = _config()
        merge_options(cfg, dict(options))
        assert cfg.model.backbone == dict(type='R')
