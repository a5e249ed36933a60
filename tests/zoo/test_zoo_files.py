"""The committed files of the zoo say what the configs and the counter say."""
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.zoo import __main__ as command
from mmvision_ext.zoo.collect import FAMILIES, paper_configs
from mmvision_ext.zoo.count import build_on_meta, count_image, image_size
from mmvision_ext.zoo.entries import Entry, read_entries
from mmvision_ext.zoo.metafile import to_card
from mmvision_ext.zoo.page import format_params

REPO = Path(__file__).resolve().parents[2]
# What the README of the family prints of the networks as trained, or what
# the authors print of the same form.
KNOWN = {
    'vheat-tiny_16xb128_in1k': ('30.85M', 4.94),
    'vheat-small_16xb128_in1k': ('52.22M', 9.17),
    'vheat-base_16xb128_in1k': ('92.13M', 16.16),
    'maskrcnn_vheat_tiny_1x_coco': ('52.74M', 286),
    'maskrcnn_vheat_base_1x_coco': ('114.69M', 526),
    'upernet_vheat_base_ade20k': ('128.82M', 1219),
}


def entries() -> dict[str, Entry]:
    return {entry.name: entry for entry in read_entries(REPO)}


def numbers(text: str) -> set[float]:
    return {float(number) for number in re.findall(r'\d*\.\d+', text)}


def table_rows(family: str) -> list[tuple[str, dict[str, str]]]:
    """Stem of a config and its cells by column, of the family's README."""
    rows, columns = [], []
    for line in (REPO / f'configs/{family}/README.md').read_text(
            'utf-8').splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        link = re.match(r'\[[^\]]+\]\(([\w-]+)\.py\)', cells[0])
        if cells[0] == 'config':
            columns = cells
        elif line.startswith('|') and link:
            rows.append((link[1], dict(zip(columns, cells))))
    return rows


def test_files_are_those_of_the_generator() -> None:
    for name, text in command.make_files(REPO).items():
        assert (REPO / name).read_text('utf-8') == text, (
            f'{name}: run `python -m mmvision_ext.zoo`')


@pytest.mark.smoke
def test_every_config_has_an_entry_and_the_reverse() -> None:
    configs = {path.relative_to(REPO).as_posix() for family in FAMILIES
               for path in paper_configs(REPO, family)}
    assert {entry.config for entry in entries().values()} == configs
    assert len(configs) == len(read_entries(REPO)) >= 72


def test_names_are_unique() -> None:
    names = [name for entry in entries().values() for name in entry.names]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


@pytest.mark.smoke
def test_modelindex_loads_the_index() -> None:
    from modelindex.load_model_index import load
    index = load(str(REPO / 'model-index.yml'))
    index.build_models_with_collections()
    models = {model.name: model for model in index.models}
    assert set(models) == set(entries())
    detector = models['maskrcnn_vheat_tiny_1x_coco']
    assert detector.metadata.data['FLOPs'] == 286320624640
    assert [(result.task, dict(result.metrics))
            for result in detector.results] == [
                ('Object Detection', {'box AP': 45.1}),
                ('Instance Segmentation', {'mask AP': 41.2})]
    assert detector.weights is None
    assert detector.full_model.paper['URL'].endswith('2405.16555')


@pytest.mark.parametrize('family', FAMILIES)
def test_figures_are_those_of_the_readme(family: str) -> None:
    prefix = 'ma2ml_' if family == 'ma2ml' else ''
    seen = set()
    for stem, cells in table_rows(family):
        entry = entries()[prefix + stem]
        seen.add(entry.name)
        said = f'{entry.figure} {entry.status}'
        text = ' '.join(cell for column, cell in cells.items() if re.search(
            'top-1|AP|mIoU|status', column))
        # A peer has an entry of its own elsewhere.
        text = re.sub(r'\(peer[^)]*\)', '', text)
        assert numbers(text) <= numbers(said), stem
        status = 'measured here' if 'measured' in cells['status'] \
            else 'not run'
        assert entry.status.startswith(status), stem
        if family == 'itpn' and cells.get('params'):
            assert cells['params'] == format_params(entry.params)
    # That one stands in a sentence, not in a table.
    assert seen == {e.name for e in entries().values()
                    if e.family == family} - {'ma2ml_toy'}


@pytest.mark.parametrize('name', KNOWN)
def test_counts_are_the_published_ones(name: str) -> None:
    entry = entries()[name]
    params, giga = KNOWN[name]
    assert format_params(entry.params) == params
    digits = 2 if giga < 100 else 0
    assert round(entry.macs / 1e9, digits) == giga


@pytest.mark.parametrize('name', ['vheat/vheat-nano_cifar10',
                                  'vheat/upernet_vheat_nano_camvid'])
def test_count_is_that_of_the_suite(name: str) -> None:
    config = Config.fromfile(REPO / f'configs/{name}.py')
    model, size = build_on_meta(config), image_size(config)
    counts = count_complexity(model, size)
    entry = entries()[Path(name).name]
    assert (entry.params, entry.macs) == (counts.params, counts.macs)
    assert counts.macs == count_image(build_on_meta(config), size)
    assert entry.image_size == size


def test_no_figure_is_claimed_that_belongs_to_another_network() -> None:
    found = entries()
    for name in ('maskrcnn_vheat_base_3x_coco',
                 'itpn-clip_large_32xb16-ft-50e_in1k-384px',
                 'fast-itpn_large_32xb16-ft-20e_in1k'):
        assert found[name].metrics == {}
    assert found['maskrcnn_vheat_nano_nuclei'].metrics == {
        'box AP50': 72.7, 'mask AP50': 74.0}


def test_no_weights_are_promised() -> None:
    assert not any('Weights' in to_card(e) for e in entries().values())


def test_check_names_what_is_not_true(monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / 'docs').mkdir()
    monkeypatch.setattr(command, 'shipped_root', lambda: tmp_path)
    monkeypatch.setattr(command, 'make_files', lambda root: {'a.yml': 'x\n'})
    monkeypatch.setattr('sys.argv', ['zoo', '--check'])
    assert command.main() == 1
    assert not (tmp_path / 'a.yml').exists()
    assert 'not true' in capsys.readouterr().out
    monkeypatch.setattr('sys.argv', ['zoo'])
    assert command.main() == 0
    assert (tmp_path / 'a.yml').read_text() == 'x\n'
    monkeypatch.setattr('sys.argv', ['zoo', '--check'])
    assert command.main() == 0


def test_files_are_made_in_a_checkout_alone(monkeypatch, tmp_path,
                                            capsys) -> None:
    monkeypatch.setattr(command, 'shipped_root', lambda: tmp_path)
    monkeypatch.setattr('sys.argv', ['zoo'])
    assert command.main() == 1
    assert 'is no checkout' in capsys.readouterr().err
