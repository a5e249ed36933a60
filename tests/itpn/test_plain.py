"""The plain form of the attention."""
import pytest
import torch
from torch import nn

from mmvision_ext.benchmark.memory import peak_memory
from mmvision_ext.itpn import ITPNNetwork
from mmvision_ext.itpn.attention import RPE_KINDS, Attention
from mmvision_ext.itpn.plain import (
    PlainAttention,
    make_plain,
    pair_index,
    score_bytes,
)

CPU = torch.device('cpu')


def _network(rpe: str = 'none', depth: int = 2, side: int = 6) -> nn.Module:
    arch = dict(embed_dims=32, depths=(1, 1, depth), num_heads=2)
    network = ITPNNetwork(arch=arch, img_size=16 * side, rpe=rpe)
    for name, table in network.named_parameters():
        if name.endswith('bias_table'):
            nn.init.trunc_normal_(table, std=0.5)
    return network


def test_pair_index() -> None:
    index = pair_index(2, CPU)
    # (yi - yj + 1) * 3 + xi - xj + 1 over the pixels (0,0) (0,1) (1,0) (1,1)
    assert index.tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3],
                              [8, 7, 5, 4]]


@pytest.mark.parametrize('rpe', RPE_KINDS)
def test_forms_agree(rpe: str) -> None:
    ours = _network(rpe).double()
    plain = make_plain(ours, pair_index(6, CPU))
    assert sum(isinstance(m, PlainAttention) for m in plain.modules()) == 2
    images = torch.randn(1, 3, 96, 96, dtype=torch.double)
    results = []
    for model in (ours, plain):
        outs = model(images)
        loss = sum(x.square().mean() for x in outs)
        results.append(
            [*outs, *torch.autograd.grad(loss, list(model.parameters()))])
    assert len(results[0]) == 3 + len(list(ours.parameters()))
    for a, b in zip(*results, strict=True):
        # The plain form goes through float32, as the original does.
        top = b.abs().max().item()
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6 * top)


def test_plain_form_has_no_windows() -> None:
    with pytest.raises(ValueError, match='window_size is 2'):
        PlainAttention(Attention(8, 2, window_size=2), torch.empty(0))


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
    images = torch.randn(1, 3, 384, 384)
    found = []
    for depth in (2, 4):
        plain = make_plain(_network(depth=depth, side=24),
                           pair_index(24, CPU))

        def step(plain: nn.Module = plain) -> list[torch.Tensor]:
            loss = sum(x.square().mean() for x in plain(images))
            return list(torch.autograd.grad(loss, list(plain.parameters())))

        found.append(peak_memory(step, CPU))
    assert 2 * kept <= found[1] - found[0] < 2 * kept * 1.3
