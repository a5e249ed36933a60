"""Networks prepared for inference at known sizes."""
import copy

import pytest
import torch
from torch import Tensor

from mmvision_ext.engine.complexity import count_complexity
from mmvision_ext.vheat.deploy import token_sizes
from mmvision_ext.vheat.network import VHeatNetwork

SMALL = dict(embed_dims=8, depths=(1, 1, 2, 1))
SIZES = [(64, 96), (45, 70)]


def network(**kwargs) -> VHeatNetwork:
    torch.manual_seed(0)
    net = VHeatNetwork(arch=SMALL, img_size=64, **kwargs).eval()
    with torch.no_grad():
        for table in net.freq_embed:
            table.normal_()
    return net


def deployed(**kwargs) -> tuple[VHeatNetwork, VHeatNetwork]:
    net = network()
    other = copy.deepcopy(net)
    other.switch_to_deploy(SIZES, **kwargs)
    return net, other


def same(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> bool:
    return all(map(torch.equal, a, b))


@torch.no_grad()
def test_the_same_outputs_to_the_last_bit() -> None:
    net, other = deployed()
    for size in SIZES:
        x = torch.randn(2, 3, *size)
        assert same(net(x), other(x))
    # the valid areas of a padded batch are sizes too
    x = torch.randn(1, 3, 64, 96)
    sizes = [(45, 70)]
    assert same(net(x, sizes), other(x, sizes))


def test_size_of_the_released_form_for_inference() -> None:
    net = VHeatNetwork('tiny', out_indices=(3, ))
    head = 768 * 1000 + 1000
    before = count_complexity(net, (224, 224))
    assert before.params + head == 30_853_480
    net.switch_to_deploy([(224, 224)])
    params = sum(p.numel() for p in net.parameters()) + head
    assert params == 28_128_040
    assert params + sum(b.numel() for b in net.buffers()) == 29_558_056
    after = count_complexity(net, (224, 224))
    assert after.macs == after.inference_macs == before.inference_macs


def test_maps_have_the_sizes_of_the_convolutions() -> None:
    net = network()
    for size in ((1, 1), (33, 200), (63, 65)):
        with torch.no_grad():
            found = [tuple(m.shape[2:]) for m in net(
                torch.zeros(1, 3, *size))]
        assert found == token_sizes(size, 4)


@torch.no_grad()
def test_other_sizes_are_refused_or_padded() -> None:
    net, other = deployed()
    with pytest.raises(ValueError, match='image of 64x64.*45x70, 64x96'):
        other(torch.randn(1, 3, 64, 64))
    net, other = deployed(pad=True)
    x = torch.randn(2, 3, 44, 50)
    canvas = torch.zeros(2, 3, 45, 70)
    canvas[:, :, :44, :50] = x
    for out, whole, (h, w) in zip(other(x), net(canvas),
                                  token_sizes((44, 50), 4)):
        assert torch.equal(out, whole[:, :, :h, :w])
        assert out.is_contiguous()
    with pytest.raises(ValueError, match='image of 64x97'):
        other(torch.randn(1, 3, 64, 97))


def test_state_dict_goes_back_in() -> None:
    net, other = deployed()
    twin = network()
    twin.switch_to_deploy(SIZES)
    for parameter in twin.parameters():
        torch.nn.init.zeros_(parameter)
    twin.load_state_dict(other.state_dict())
    x = torch.randn(1, 3, 64, 96)
    assert same(twin(x), other(x))
    names = other.state_dict()
    assert not [n for n in names if 'freq_embed' in n or 'to_k' in n]
    with pytest.raises(RuntimeError, match='freq_embed'):
        net.load_state_dict(names)


def test_wrong_use() -> None:
    _, other = deployed()
    with pytest.raises(ValueError, match='cannot be trained'):
        other.train()
    with pytest.raises(ValueError, match='deployed already'):
        other.switch_to_deploy(SIZES)
    for sizes, message in (([], 'sizes is empty'), ([224], 'size 224'),
                           ([(0, 4)], r'size \(0, 4\)'),
                           ([(4, 4, 4)], r'size \(4, 4, 4\)')):
        net = network()
        with pytest.raises(ValueError, match=message):
            net.switch_to_deploy(sizes)
        assert net.freq_embed is not None and not net.deploy_sizes


def test_one_graph_a_size_and_no_break() -> None:
    import torch._dynamo.testing
    torch._dynamo.reset()
    _, other = deployed()
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(other, backend=counter, fullgraph=True,
                             dynamic=False)
    with torch.no_grad():
        for size in (*SIZES, *SIZES):
            x = torch.randn(1, 3, *size)
            for a, b in zip(compiled(x), other(x)):
                assert torch.allclose(a, b, atol=1e-4)
    assert counter.frame_count == len(SIZES)
    torch._dynamo.reset()
