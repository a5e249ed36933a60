"""The plain form of the attention, and the measurement against it."""
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmvision_ext.engine.benchmark import peak_memory
from mmvision_ext.itpn import ITPNArch
from mmvision_ext.itpn.attention import RPE_KINDS, Attention
from mmvision_ext.itpn.benchmark import (
    GIB,
    Setting,
    attention_peaks,
    build_features,
    fit_setting,
    main,
    make_step,
    render,
    run,
)
from mmvision_ext.itpn.plain import (
    PlainAttention,
    make_plain,
    pair_index,
    score_bytes,
)

CPU = torch.device('cpu')
TINY = ITPNArch(32, (1, 1, 2), 2)
BASE = ITPNArch(512, (3, 3, 24), 8)


def test_pair_index() -> None:
    index = pair_index(2, CPU)
    # (yi - yj + 1) * 3 + xi - xj + 1 over the pixels (0,0) (0,1) (1,0) (1,1)
    assert index.tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3],
                              [8, 7, 5, 4]]


@pytest.mark.parametrize('rpe', RPE_KINDS)
def test_forms_agree(rpe: str) -> None:
    setting = Setting(TINY, 96, rpe)
    ours = build_features(setting).double()
    plain = make_plain(ours, pair_index(6, CPU))
    assert sum(isinstance(m, PlainAttention) for m in plain.modules()) == 2
    images = torch.randn(1, 3, 96, 96, dtype=torch.double)
    for mode in ('inference', 'training'):
        results = [
            make_step(model, (images, ), setting, mode)()
            for model in (ours, plain)
        ]
        assert len(results[0]) == (5 if mode == 'inference' else
                                   1 + len(list(ours.parameters())))
        for a, b in zip(*results, strict=True):
            # The plain form goes through float32, as the original does.
            assert torch.allclose(a.double(), b.double(), rtol=1e-4,
                                  atol=1e-6 * b.abs().max())
    assert all(p.grad is None for p in ours.parameters())


def test_plain_form_has_no_windows() -> None:
    with pytest.raises(ValueError, match='window_size is 2'):
        PlainAttention(Attention(8, 2, window_size=2), torch.empty(0))


@pytest.fixture(scope='module')
def report() -> dict:
    torch.manual_seed(0)
    return run(Setting(TINY, 64), ('inference', 'training'), 2, (64, 128))


def test_report_is_consistent(report: dict) -> None:
    assert [row['mode'] for row in report['comparisons']] == [
        'inference', 'training']
    for row in report['comparisons']:
        assert row['difference'] < 1e-4
        assert row['arch']['depths'] == (1, 1, 2)
        for name in ('ours', 'plain'):
            assert len(row[name]['seconds']) == 2
            assert row[f'{name}_median_seconds'] == pytest.approx(
                sum(row[name]['seconds']) / 2)
        assert row['time_ratio'] == (row['plain_median_seconds'] /
                                     row['ours_median_seconds'])
        assert row['memory_ratio'] == (row['plain']['peak_bytes'] /
                                       row['ours']['peak_bytes'])
    assert report['notes'] == []
    assert [row['tokens'] for row in report['attention']] == [16, 64]


def test_table_has_the_numbers(report: dict) -> None:
    lines = render(report).splitlines()
    row = report['comparisons'][1]
    assert f'| **{row["memory_ratio"]:.2f}** |' in lines[5]
    assert f'| **{row["time_ratio"]:.2f}** |' in lines[5]
    tables = [x for x in lines if x.startswith('|')]
    assert {x.count('|') for x in tables[:4]} == {11}
    assert {x.count('|') for x in tables[4:]} == {7}
    assert tables[-1].startswith('| grows by | 4.0 |')


@pytest.fixture(scope='module', params=RPE_KINDS)
def peaks(request: pytest.FixtureRequest) -> tuple[str, dict, dict]:
    """Of one attention: kind of position, at 256 and at 2304 tokens."""
    with pytest.MonkeyPatch.context() as patch:
        # the bias of fewer pairs at a time, as it is for larger maps
        patch.setattr('mmvision_ext.ops.attention.MAX_BIAS_ENTRIES', 1 << 16)
        small, large = (
            attention_peaks(Setting(TINY, size, request.param))
            for size in (256, 768))
    assert (small['tokens'], large['tokens']) == (256, 2304)
    return request.param, small, large


@pytest.mark.parametrize('mode', ['inference', 'training'])
def test_attention_memory_grows_with_the_tokens(
        peaks: tuple[str, dict, dict], mode: str) -> None:
    rpe, small, large = peaks

    def power(name: str) -> float:
        return math.log(large[f'{name}_{mode}'] / small[f'{name}_{mode}'], 9)

    # Decomposed positions add 2 * sqrt(tokens) channels to each token.
    assert power('ours') < {'none': 1.02, 'table': 1.1,
                            'decomposed': 1.5}[rpe]
    assert power('plain') > 1.9
    # the matrix of all pairs in float32
    assert large[f'plain_{mode}'] > 4 * 2 * 2304**2
    assert large[f'ours_{mode}'] < 4 * 2 * 2304**2 / 2


def test_score_bytes() -> None:
    scores = 8 * 4096**2
    assert scores == 134_217_728
    assert score_bytes(4096, 8, torch.float32, 'none') == (
        8 * scores, 12 * scores)
    # 1.34 GB in half precision
    assert score_bytes(4096, 8, torch.bfloat16, 'none')[0] == 10 * scores
    assert score_bytes(4096, 8, torch.bfloat16, 'decomposed')[0] == 6 * scores


def test_scores_are_what_the_plain_form_keeps() -> None:
    # two depths differ by the kept bytes of the blocks, and little else
    kept, _ = score_bytes(576, 2, torch.float32, 'none')
    found = []
    for depth in (2, 4):
        setting = Setting(ITPNArch(32, (1, 1, depth), 2), 384)
        backbone = build_features(setting)[0]
        plain = make_plain(backbone, pair_index(24, CPU))
        step = make_step(plain, (torch.randn(1, 3, 384, 384), ), setting,
                         'training')
        found.append(peak_memory(step, CPU)[1])
    assert 2 * kept <= found[1] - found[0] < 2 * kept * 1.3


@pytest.mark.parametrize('mode, with_cp, free, blocks', [
    ('training', False, None, 24),
    ('training', False, 52 * GIB, 24),
    ('training', False, 51 * GIB, 24),
    ('training', False, 50 * GIB, 23),
    ('training', False, 12 * GIB, 4),
    ('training', True, 12 * GIB, 24),
    ('inference', False, 12 * GIB, 24),
])
def test_as_many_blocks_as_fit(mode: str, with_cp: bool, free: int | None,
                               blocks: int) -> None:
    # 1 GiB a block and 1.5 GiB besides, in half of what is free
    fitted, note = fit_setting(
        Setting(BASE, 1024, with_cp=with_cp), mode, free)
    assert fitted.arch.depths == (3, 3, blocks)
    assert (note is None) == (blocks == 24)
    if note:
        assert f'25.5 GiB for its score matrices in {mode}' in note
        assert f'measured with {blocks} attention blocks' in note


@pytest.mark.parametrize('mode', ['inference', 'training'])
def test_nothing_fits(mode: str) -> None:
    with pytest.raises(ValueError, match='take a smaller size'):
        fit_setting(Setting(BASE, 1024), mode, 2 * GIB)


@pytest.mark.parametrize('kwargs, message', [
    (dict(size=100), 'size is 100; expected a multiple of 16'),
    (dict(size=64, batch=0), 'batch is 0'),
    (dict(size=64, device='tpu'), "device is 'tpu'; choose cpu or cuda"),
])
def test_wrong_settings(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Setting(TINY, **kwargs)


def test_half_precision_and_recomputed_blocks() -> None:
    setting = Setting(TINY, 64, 'table', dtype='bfloat16', with_cp=True)
    row, = run(setting, ('training', ), 1, (64, ))['comparisons']
    assert 1e-5 < row['difference'] < 0.2


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / 'new' / 'report.json'
    assert main([
        '--arch', 'nano', '--depths', '1', '1', '1', '--size', '64', '--mode',
        'inference', '--repeats', '1', '--attention-sizes', '64', '--out',
        str(out)
    ]) == 0
    report = json.loads(out.read_text())
    assert report['comparisons'][0]['arch']['depths'] == [1, 1, 1]
    printed = capsys.readouterr().out
    assert render(report) in printed
    assert f'written: {out}' in printed


def test_command_says_what_is_wrong(capsys: pytest.CaptureFixture) -> None:
    assert main(['--size', '100']) == 1
    assert capsys.readouterr().err == (
        'error: size is 100; expected a multiple of 16 pixels\n')


def test_script(repo_root: Path) -> None:
    script = repo_root / 'tools' / 'benchmark.py'
    result = subprocess.run([sys.executable, str(script), '--help'],
                            capture_output=True, text=True, timeout=300)
    assert result.returncode == 0
    assert '--attention-sizes' in result.stdout
