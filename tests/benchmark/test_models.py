"""Models by name, their inputs and their steps."""
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mmvision_ext.benchmark.agreement import (
    comparable,
    largest_difference,
    share_weights,
)
from mmvision_ext.benchmark.aliases import ALIASES
from mmvision_ext.benchmark.case import Case
from mmvision_ext.benchmark.flops import count_flops
from mmvision_ext.benchmark.itpn_forms import GIB, check_scores
from mmvision_ext.benchmark.memory import peak_memory
from mmvision_ext.benchmark.models import Program, build_program, find_tensors
from mmvision_ext.benchmark.names import parse_name
from mmvision_ext.benchmark.steps import make_step
from mmvision_ext.itpn.arch import ARCH_ZOO, ITPNArch
from mmvision_ext.itpn.attention import RPE_KINDS

CPU = torch.device('cpu')
BASE = ITPNArch(512, (3, 3, 24), 8)
SWIN = ("arch={'embed_dims': 8, 'depths': [1, 1, 1, 1], "
        "'num_heads': [1, 1, 2, 2]}")


def build(text: str, case: Case) -> Program:
    return build_program(parse_name(text, tuple(ALIASES)), case)


def outs_of(text: str, case: Case) -> list[Tensor | None]:
    return make_step(build(text, case), case)()


def test_find_tensors() -> None:
    a, b, c = torch.ones(3).unbind()
    assert list(find_tensors(dict(x=(a, [b, 'no']), y=None, z=c))) == [a, b, c]


@pytest.mark.parametrize('text, channels', [
    ('vheat-nano', (24, 48, 96, 192)),
    (f'swin-tiny({SWIN})', (8, 16, 32, 64)),
    ("convnext-tiny(arch={'depths': [1, 1, 1, 1], "
     "'channels': [8, 16, 32, 64]})", (8, 16, 32, 64)),
    ('mmpretrain.ResNet(depth=18, base_channels=8, stem_channels=8, '
     'out_indices=(0, 1, 2, 3))', (8, 16, 32, 64)),
])
def test_backbones_return_four_maps(text: str,
                                    channels: tuple[int, ...]) -> None:
    if not text.startswith('vheat'):
        pytest.importorskip('mmpretrain')
    found = outs_of(text, Case(64, 96, 2))
    assert [tuple(x.shape) for x in found] == [
        (2, n, 16 >> i, 24 >> i) for i, n in enumerate(channels)]


def test_a_neck_gets_maps() -> None:
    pytest.importorskip('mmdet')
    program = build('mmdet.FPN(in_channels=[2, 4, 8], out_channels=4, '
                    'num_outs=3)', Case(70, 96, 2))
    maps, = program.inputs
    assert [tuple(x.shape) for x in maps] == [
        (2, 2, 18, 24), (2, 4, 9, 12), (2, 8, 5, 6)]
    assert len(program.forward()) == 3


@pytest.mark.parametrize('name, package, field', [
    ('vheat-nano_toy_cls', 'mmpretrain', 'gt_label'),
    ('maskrcnn_vheat_nano_toy_det', 'mmdet', 'gt_instances'),
    ('upernet_vheat_nano_toy_seg', 'mmseg', 'gt_sem_seg'),
])
def test_whole_models(name: str, package: str, field: str,
                      repo_root: Path) -> None:
    pytest.importorskip(package)
    config = str(repo_root / 'configs' / 'quickstart' / f'{name}.py')
    assert all(torch.isfinite(x).all()
               for x in outs_of(config, Case(64, 64, 2)))
    case = Case(64, 64, 2, 'train')
    program = build(config, case)
    samples = program.inputs[1]
    assert len(samples) == 2 and all(field in x for x in samples)
    loss, *grads = make_step(program, case)()
    assert loss.item() > 0
    own = [x for x in program.module.parameters() if x.requires_grad]
    assert [x.shape for x in grads if x is not None] == [
        p.shape for p, x in zip(own, grads) if x is not None]
    assert sum(x is not None for x in grads) > len(own) / 2


def test_models_that_cannot_be_measured(toys: str) -> None:
    with pytest.raises(ValueError, match='number returns a int'):
        build(f'{toys}:number', Case(8, 8))
    with pytest.raises(ValueError, match="has no 'nothing'"):
        build(f'{toys}:nothing', Case(8, 8))
    with pytest.raises(ValueError, match='no part of it has with_cp'):
        build(f'{toys}:Net', Case(8, 8, with_cp=True))


def test_recomputed_blocks(toys: str) -> None:
    found = {}
    for with_cp in (False, True):
        case = Case(64, 64, 1, 'train', with_cp=with_cp)
        program = build(f'{toys}:Recomputing', case)
        assert program.module.with_cp is with_cp
        found[with_cp] = make_step(program, case)()
        # the counter leaves recomputing to others, and the model as it is
        assert count_flops(program, case) == 2 * 64 * 64 * 16 * (
            3 * (3 + 16 + 1) - 3)
        assert program.module.with_cp is with_cp
    assert largest_difference(*found.values()) == 0.


def test_a_training_step_returns_loss_and_gradients(toys: str) -> None:
    case = Case(8, 8, 2, 'train')
    program = build(f'{toys}:Net(factor=2.)', case)
    loss, *grads = make_step(program, case)()
    x, = program.inputs
    y = 2 * program.module.conv(x)
    expected = y.square().mean() + x.mean()**2
    assert torch.allclose(loss, expected)
    own = torch.autograd.grad(expected, list(program.module.parameters()))
    assert all(map(torch.allclose, grads, own))
    assert all(p.grad is None for p in program.module.parameters())


def test_half_precision_is_autocast() -> None:
    first, *_ = outs_of('itpn-nano-attention', Case(64, 64, dtype='bfloat16'))
    assert first.dtype == torch.bfloat16


@pytest.mark.parametrize('rpe', RPE_KINDS)
@pytest.mark.parametrize('suffix', ['', '-attention'])
@pytest.mark.parametrize('mode', ['infer', 'train'])
def test_forms_of_itpn_agree(rpe: str, suffix: str, mode: str) -> None:
    case = Case(96, 96, 2, mode)
    plain, ours = (build(f'itpn-nano{suffix}{end}(rpe={rpe!r})', case)
                   for end in ('-plain', ''))
    models = dict(plain=plain.module, ours=ours.module)
    with torch.no_grad():
        for parameter in plain.module.parameters():
            parameter.zero_()
    assert share_weights(models, 'plain') == dict(ours=None)
    outs = [comparable(make_step(x, case)(), x.module, case, y.module)
            for x, y in ((ours, plain), (plain, ours))]
    assert len(outs[0]) > (4 if mode == 'train' else 0)
    assert 0 <= largest_difference(*outs) < 1e-4


def test_plain_form_with_a_table_needs_a_square() -> None:
    with pytest.raises(ValueError, match='64x96; the plain form'):
        build("itpn-nano-plain(rpe='table')", Case(64, 96))
    assert len(outs_of('itpn-nano-plain', Case(64, 96))) == 5


@pytest.mark.parametrize('rpe', RPE_KINDS)
@pytest.mark.parametrize('mode', ['infer', 'train'])
def test_attention_memory_grows_with_the_tokens(
        rpe: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # the bias of fewer pairs at a time, as it is for larger maps
    monkeypatch.setattr('mmvision_ext.ops.attention.MAX_BIAS_ENTRIES', 1 << 16)
    # and few scores: their number does not grow, which hides what does
    monkeypatch.setattr('mmvision_ext.ops.attention.MIN_PRODUCT_KEYS', 1)
    monkeypatch.setattr('mmvision_ext.ops.attention_rows.SCORE_BYTES', 1)
    monkeypatch.setitem(ARCH_ZOO, 'nano', ITPNArch(32, (1, 1, 1), 2))
    peaks = {}
    for end in ('', '-plain'):
        for side in (256, 768):
            case = Case(side, side, 1, mode)
            step = make_step(
                build(f'itpn-nano-attention{end}(rpe={rpe!r})', case), case)
            peaks[end, side] = peak_memory(step, CPU)

    def power(end: str) -> float:
        return math.log(peaks[end, 768] / peaks[end, 256], 9)

    # Decomposed positions add 2 * sqrt(tokens) channels to each token.
    assert power('') < {'none': 1.02, 'table': 1.1, 'decomposed': 1.5}[rpe]
    assert power('-plain') > 1.9
    # the matrix of all pairs of 2304 tokens in float32, two heads
    assert peaks['-plain', 768] > 4 * 2 * 2304**2
    assert peaks['', 768] < 4 * 2 * 2304**2 / 2


@pytest.mark.parametrize('mode, with_cp, free, fits', [
    ('train', False, None, True),
    ('train', False, 34 * GIB, True),
    ('train', False, 33 * GIB, False),
    ('train', True, 4 * GIB, True),
    ('infer', False, 4 * GIB, True),
    ('infer', False, 3 * GIB, False),
])
def test_scores_have_to_fit(mode: str, with_cp: bool, free: int | None,
                            fits: bool) -> None:
    # 1 GiB a block and 1.5 GiB besides, in three quarters of what is free
    case = Case(1024, 1024, 1, mode, with_cp=with_cp)
    if fits:
        check_scores(case, BASE, 'none', free)
        return
    need = '25.5' if mode == 'train' else '2.5'
    with pytest.raises(ValueError, match=f'needs {need} GiB .*depths='):
        check_scores(case, BASE, 'none', free)
