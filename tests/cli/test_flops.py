"""What `flops` prints are the counts of the suite, part by part."""
import json
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from mmengine import Config
from torch import nn

from mmvision_ext.cli import main
from mmvision_ext.engine.complexity import count_macs
from mmvision_ext.engine.parts import Breakdown, Part, Uncounted, break_down
from mmvision_ext.zoo import list_entries
from mmvision_ext.zoo.count import build_on_meta, run_image

REPO = Path(__file__).resolve().parents[2]
#: What fvcore counts and this counter does too.
SHARED = {'conv', 'linear', 'bmm', 'layer_norm'}


class Pair(nn.Module):
    """Layers alike in a row, one that is not called, and a bare product."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.head = nn.ModuleDict({'last': nn.Linear(8, 2)})
        self.bare = nn.Parameter(torch.zeros(8, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps:
            x = step(x).relu()
        return self.head['last'](x).sum() + (x @ self.bare).sum()


def test_parts_by_hand() -> None:
    model = Pair()
    found = break_down(model, lambda: model(torch.zeros(5, 8)))
    assert found == Breakdown(
        parts=(Part('steps.0-2', 3 * 72, 3 * 5 * 64),
               Part('head', 18, 5 * 16), Part('elsewhere', 32, 5 * 32)),
        uncounted=(Uncounted('relu', 3, 120), Uncounted('sum', 2, 2),
                   Uncounted('add', 1, 1)))
    assert (found.params, found.macs) == (266, 1200)


def flops(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict]:
    capsys.readouterr()
    assert main(['flops', *args, '--json']) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.smoke
@pytest.mark.parametrize('name', [
    'vheat-nano_cifar10', 'itpn-nano_cifar10', 'maskrcnn_vheat_nano_nuclei',
    'upernet_itpn_nano_camvid'])
def test_totals_are_those_of_the_zoo(
        name: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = next(x for x in list_entries() if x.name == name)
    found, = flops(capsys, name)
    assert tuple(found['image_size']) == entry.image_size
    assert (found['params'], found['macs']) == (entry.params, entry.macs)
    for key in ('params', 'macs'):
        assert sum(part[key] for part in found['parts']) == found[key]
    assert all(part['macs'] >= 0 for part in found['parts'])
    names = [part['name'] for part in found['parts']]
    stage = 'blocks.4-7' if 'itpn' in name else 'stages.3'
    assert f'backbone.{stage}' in names
    heads = {'upernet': ['decode_head'], 'maskrcnn': [
        'rpn_head', 'roi_head.bbox_head', 'roi_head.mask_head']}
    for head in heads.get(name.split('_')[0], []):
        part = found['parts'][names.index(head)]
        assert part['macs'] > .01 * found['macs']


@pytest.mark.parametrize('name, side, attention', [
    ('vheat-nano_cifar10', 64, 0), ('upernet_vheat_nano_camvid', 96, 0),
    # four blocks on 16 tokens of 192 channels: scores and their use
    ('itpn-nano_cifar10', 64, 4 * 2 * 16 * 16 * 192)])
def test_fvcore_agrees(name: str, side: int, attention: int) -> None:
    """In double precision, where no fused kernel hides a layer from it."""
    family = 'itpn' if 'itpn' in name else 'vheat'
    cfg = Config.fromfile(REPO / f'configs/{family}/{name}.py')
    network = build_on_meta(cfg)
    ours = break_down(network, lambda: run_image(network, (side, side)))
    peer = FlopCountAnalysis(
        network.to_empty(device='cpu').double(),
        torch.zeros(1, 3, side, side, dtype=torch.float64))
    peer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    shared = sum(count for kind, count in peer.by_operator().items()
                 if kind in SHARED)
    # fvcore has no formula for attention.
    assert ours.macs == shared + attention
    stages = {x.name: x.macs for x in ours.parts if '.stages.' in x.name}
    kinds = peer.by_module_and_operator()
    for stage, macs in stages.items():
        assert macs == sum(count for kind, count in kinds[stage].items()
                           if kind in SHARED), stage
    assert len(stages) == (4 if family == 'vheat' else 0)


def test_sizes_and_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    name = 'vheat-nano_cifar10'
    small, wide = flops(capsys, name, '--size', '64', '--size', '64x128',
                        '--part', 'backbone')
    assert [x['image_size'] for x in (small, wide)] == [[64, 64], [64, 128]]
    model = build_on_meta(
        Config.fromfile(REPO / f'configs/vheat/{name}.py')).backbone
    with torch.no_grad():
        first, second = (count_macs(lambda: run_image(model, (64, 128)))
                         for _ in range(2))
    assert (wide['macs'], wide['inference_macs']) == (first, second)
    assert first > second > small['macs']


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['flops', 'vheat-tiny_in1k']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'ImageClassifier, 224 x 224 pixels'
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows['backbone.stages.2'] == ['13.33M', '43.2%', '2.25G', '45.5%']
    assert rows['all'] == ['30.85M', '4.94G']
    assert rows['gelu_'] == ['13', '6.32M']


@pytest.mark.parametrize('args, words', [
    (['vheat-tinny'], "'vheat-tinny' is neither a config file nor a model of "
     'the zoo; did you mean vheat-tiny_in1k? `python -m mmvision_ext models` '
     'lists the names'),
    (['itpn-nano_pretrain_pixel'], 'the cost of a pre-training depends on how '
     'much of the image is hidden; --part backbone counts its backbone'),
    (['ma2ml_toy'], 'no model in it'),
    (['itpn-nano_pretrain_pixel', '--part', 'backbone'], 'its test pipeline, '
     'which tells the size of an image, is missing or names none; give '
     '--size 224'),
])
def test_mistakes_are_told_in_a_line(
        args: list[str], words: str,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['flops', *args]) == 1
    err = capsys.readouterr().err
    assert err.startswith('error: ') and err.endswith(words + '\n')
    assert err.count('\n') == 1


def test_a_side_is_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(['flops', 'vheat-tiny_in1k', '--size', '0x3'])
    assert end.value.code == 2
    assert "'0x3': expected a side, or HEIGHTxWIDTH, in pixels" in \
        capsys.readouterr().err
