"""Reading the zoo, searching it, and its command."""
import json
from pathlib import Path

import pytest

from mmvision_ext.cli.main import main
from mmvision_ext.engine.errors import LaunchError
from mmvision_ext.zoo import list_entries
from mmvision_ext.zoo.entries import read_entries
from mmvision_ext.zoo.header import Header, read_header
from mmvision_ext.zoo.page import reported


@pytest.mark.parametrize('pattern, names', [
    ('vheat-*_in1k', ['vheat-base_16xb128_in1k', 'vheat-small_16xb128_in1k',
                      'vheat-tiny_16xb128_in1k']),
    ('VHEAT-tiny_in1k', ['vheat-tiny_16xb128_in1k']),
    ('itpn*cifar10', ['itpn-nano_cifar10']),
    ('ade20k*', []),
])
def test_entries_are_found_by_name_and_alias(pattern, names) -> None:
    assert [entry.name for entry in list_entries(pattern)] == names


@pytest.mark.smoke
def test_every_entry_points_at_a_config() -> None:
    found = list_entries()
    assert len(found) >= 72
    assert all(entry.config_path.is_file() for entry in found)
    assert {entry.scope for entry in found} == {
        'mmpretrain', 'mmdet', 'mmseg', None}


def test_broken_metafile_is_one_line(tmp_path: Path) -> None:
    (tmp_path / 'model-index.yml').write_text('Import:\n- a.yml\n')
    with pytest.raises(LaunchError, match=r'a\.yml cannot be read'):
        read_entries(tmp_path)
    (tmp_path / 'a.yml').write_text('Models:\n- Name: x\n')
    with pytest.raises(LaunchError, match='install mmvision_ext again'):
        read_entries(tmp_path)


@pytest.mark.parametrize('figure, status, metrics', [
    ('box AP 45.1, mask AP 41.2 (reported by paper)', 'not run',
     {'box AP': 45.1, 'mask AP': 41.2}),
    ('top-1 85.5 % after 1600 epochs, 85.1 % after 400 (reported by paper)',
     'not run', {'Top 1 Accuracy': 85.5}),
    ('top-1 (no published figure)', 'measured here: top-1 40.8 from scratch, '
     'top-1 44.8 after pixel', {'Top 1 Accuracy': 40.8}),
    ('mask AP50 (no published figure)', 'measured here: mask AP50 .074',
     {'mask AP50': 7.4}),
    ('mIoU (no published figure)', 'not run', {}),
    ('box AP 1.0 (reported by paper, for another base)', 'not run', {}),
])
def test_numbers_of_a_header(figure, status, metrics) -> None:
    assert Header(figure, 'a paper', status).metrics() == metrics


def test_header_without_a_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / 'c.py'
    path.write_text('"""A config.\n\nMetric:   top-1\nStatus:   not run\n"""')
    with pytest.raises(LaunchError, match='no field Source'):
        read_header(path)


def test_page_tells_the_words_of_the_source() -> None:
    found = {entry.name: reported(entry) for entry in list_entries()}
    assert found['itpn-pixel_base_64xb64-amp-400e_in1k'] == \
        'top-1 85.1 % after fine-tuning'
    assert found['maskrcnn_vheat_base_3x_coco'] == \
        'box AP 49.7, mask AP 44.3 (for another base)'
    assert found['vheat-nano_cifar10'] == ''


@pytest.mark.smoke
def test_command_prints_a_table(capsys) -> None:
    assert main(['models', 'maskrcnn_vheat_tiny']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ['name', 'data', 'params', 'FLOPs', 'figure',
                                'status']
    assert lines[1].split('  ')[0] == 'maskrcnn_vheat_tiny_1x_coco'
    assert 'box AP 45.1, mask AP 41.2  not run' in lines[1]
    assert '286.3G (800x1280)' in lines[1]
    assert lines[-1].startswith('2 models.')


def test_command_prints_json(capsys) -> None:
    assert main(['models', 'vheat-tiny_in1k', '--json']) == 0
    entry, = json.loads(capsys.readouterr().out)
    assert entry['params'] == 30853480
    assert entry['metrics'] == {'Top 1 Accuracy': 82.2}


def test_command_names_what_it_cannot_find(capsys) -> None:
    assert main(['models', 'resnet']) == 1
    error = capsys.readouterr().err
    assert "no model matches 'resnet'" in error
    assert error.count('\n') == 1
