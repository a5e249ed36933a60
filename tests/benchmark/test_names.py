"""Names of models and values of the command line."""
from pathlib import Path

import pytest

from mmvision_ext.benchmark.aliases import ALIASES
from mmvision_ext.benchmark.case import (
    Case,
    check_device,
    parse_numbers,
    parse_sizes,
)
from mmvision_ext.benchmark.names import ModelName, parse_name
from mmvision_ext.engine.errors import LaunchError

KNOWN = ('vheat-tiny', 'itpn-base')


@pytest.mark.parametrize('text, kind, target, kwargs', [
    ('vheat-tiny', 'alias', 'vheat-tiny', {}),
    ('itpn-base(depths=(3, 3, 8))', 'alias', 'itpn-base',
     dict(depths=(3, 3, 8))),
    ("mmpretrain.ViT(arch='b', out=[1, -2], x={'a': None})", 'type',
     'mmpretrain.ViT', dict(arch='b', out=[1, -2], x=dict(a=None))),
    ('mmdet.ResNet', 'type', 'mmdet.ResNet', {}),
])
def test_names(text: str, kind: str, target: str, kwargs: dict) -> None:
    assert parse_name(text, KNOWN) == ModelName(text, kind, target, kwargs)


def test_names_of_files(toys: str, repo_root: Path) -> None:
    name = parse_name(f'{toys}:Net(factor=2.5)', KNOWN)
    assert (name.kind, name.target) == ('callable', f'{toys}:Net')
    assert name.kwargs == dict(factor=2.5)
    config = str(repo_root / 'configs/quickstart/vheat-nano_toy_cls.py')
    assert parse_name(config, KNOWN) == ModelName(config, 'config', config)


@pytest.mark.parametrize('text, message', [
    ('vheat-tine', 'did you mean vheat-tiny'),
    ('nothing', 'expected an alias such as'),
    ('none.py', 'there is no file none.py'),
    ('none.py:f', 'there is no file none.py'),
    ("vheat-tiny('a')", 'literals by keyword'),
    ('vheat-tiny(arch=open(1))', 'literals by keyword'),
    ('vheat-tiny(**{})', 'literals by keyword'),
    ('vheat-tiny(a=1)(b=2)', 'literals by keyword'),
    ('vheat-tiny(a=1', 'literals by keyword'),
])
def test_wrong_names(text: str, message: str) -> None:
    with pytest.raises(LaunchError, match=message) as error:
        parse_name(text, KNOWN)
    assert repr(text) in str(error.value)
    assert '\n' not in str(error.value)


def test_wrong_names_of_files(toys: str) -> None:
    with pytest.raises(LaunchError, match='a config takes no arguments'):
        parse_name(f'{toys}(a=1)', KNOWN)
    with pytest.raises(LaunchError, match="'1x' is no name"):
        parse_name(f'{toys}:1x', KNOWN)


def test_every_alias_is_a_name() -> None:
    assert {parse_name(x, tuple(ALIASES)).kind for x in ALIASES} == {'alias'}
    assert {'vheat-tiny', 'itpn-base-plain', 'itpn-large-attention',
            'itpn-base-attention-plain', 'swin-tiny', 'convnext-base'
            } <= set(ALIASES)


def test_sizes_and_numbers() -> None:
    assert parse_sizes('224, 800x1280,224') == [(224, 224), (800, 1280)]
    assert parse_numbers('--batch', '1,4,1') == [1, 4]


@pytest.mark.parametrize('text', ['', '0', '12x', '1x2x3', '224,', '-3', 'a'])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(LaunchError, match='is no size'):
        parse_sizes(text)


@pytest.mark.parametrize('text', ['0', '1.5', '', '2,x'])
def test_wrong_numbers(text: str) -> None:
    with pytest.raises(LaunchError, match='--batch .*no whole number'):
        parse_numbers('--batch', text)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    for device in ('cpu', 'cuda', 'cuda:0'):
        check_device(device)
    with pytest.raises(LaunchError, match='finds 1 GPU'):
        check_device('cuda:1')
    with pytest.raises(LaunchError, match='--device tpu: choose'):
        check_device('tpu')


def test_case_in_words() -> None:
    assert str(Case(4, 6, 2, 'train', with_cp=True)) == (
        '4x6, batch 2, train, float32, cpu, with_cp')
