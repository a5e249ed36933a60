"""Number types, evaluation caches, copies, graph capture."""

import copy
import pickle

import pytest
import torch

from mmvision_ext.vheat import VHeatNetwork
from mmvision_ext.vheat.decay_cache import DecayCache

ARCH = dict(embed_dims=8, depths=(1, 1, 2, 1))


@pytest.fixture
def network() -> VHeatNetwork:
    torch.manual_seed(0)
    network = VHeatNetwork(ARCH, img_size=64)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def relative_error(outs, references):
    return max(
        ((out.double() - ref).square().mean() /
         ref.square().mean()).sqrt().item()
        for out, ref in zip(outs, references, strict=True))


@pytest.mark.parametrize('dtype,bound', [(torch.float32, 1e-5),
                                         (torch.float16, 4e-3),
                                         (torch.bfloat16, 3e-2)])
def test_number_types(network, dtype, bound):
    x = torch.randn(2, 3, 70, 45)
    with torch.no_grad():
        reference = copy.deepcopy(network).double()(x.double())
        outs = copy.deepcopy(network).to(dtype)(x.to(dtype))
        assert all(out.dtype == dtype for out in outs)
        assert relative_error(outs, reference) < bound
        if dtype != torch.float32:
            with torch.autocast('cpu', dtype):
                outs = network(x)
            assert relative_error(outs, reference) < bound


@pytest.mark.parametrize('dtype,bound', [(torch.float16, 0.01),
                                         (torch.bfloat16, 0.06)])
def test_training_under_autocast(network, dtype, bound):
    x = torch.randn(2, 3, 64, 64)

    def gradient(enabled):
        network.zero_grad()
        with torch.autocast('cpu', dtype, enabled=enabled):
            loss = sum(out.float().square().mean()
                       for out in network.train()(x))
        loss.backward()
        return torch.cat([p.grad.flatten() for p in network.parameters()])

    exact, low = gradient(False), gradient(True)
    assert (low - exact).norm() / exact.norm() < bound


def test_evaluation_keeps_decay_maps_and_changes_nothing(network):
    x = torch.randn(2, 3, 70, 45)
    training = [out.detach() for out in network(x)]
    assert len(network.decay_cache) == 0  # gradients are wanted
    with torch.no_grad():
        first, second = network(x), network(x)
    assert len(network.decay_cache) == 5
    for a, b, c in zip(training, first, second):
        assert torch.equal(a, b) and torch.equal(a, c)


@pytest.mark.parametrize('change', [
    lambda p: p.mul_(1.5), lambda p: p.data.mul_(1.5),
    lambda p: setattr(p, 'data', p.data * 1.5)])
@pytest.mark.parametrize('name', [
    'freq_embed.0', 'stages.0.blocks.0.op.to_k.weight',
    'stages.3.blocks.0.op.to_k.bias'])
@torch.no_grad()
def test_changed_weights_are_seen(network, name, change):
    x = torch.randn(1, 3, 64, 64)
    before = network(x)
    change(network.get_parameter(name))
    after = network(x)
    fresh = copy.deepcopy(network)
    assert len(fresh.decay_cache) == 0
    assert not torch.equal(before[3], after[3])
    for a, b in zip(after, fresh(x)):
        assert torch.equal(a, b)


@torch.no_grad()
def test_loading_and_modes_empty_the_cache(network):
    x = torch.randn(1, 3, 64, 64)
    for change in (network.train, network.eval,
                   lambda: network.load_state_dict(network.state_dict())):
        network(x)
        assert len(network.decay_cache) == 5
        change()
        assert len(network.decay_cache) == 0


@torch.no_grad()
def test_cache_is_bounded(network):
    network.decay_cache.max_bytes = 40_000
    for side in range(32, 128, 7):
        network(torch.randn(1, 3, side, 64))
        kept = network.decay_cache
        assert kept.bytes <= 40_000
        assert kept.bytes == sum(
            value.nbytes for _, value in kept._maps.values())
    cache = DecayCache(max_bytes=7)
    assert cache.get(0, (), lambda: torch.ones(2)).sum() == 2
    assert len(cache) == 0 and cache.bytes == 0


def test_inference_mode_then_training(network):
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        network(x)
    network.train()
    sum(out.sum() for out in network(x)).backward()
    assert network.freq_embed[0].grad.abs().sum() > 0
    # without touching the mode either
    network.eval()
    with torch.inference_mode():
        network(x)
    with torch.no_grad():
        network(x)
    sum(out.sum() for out in network(x)).backward()


def test_network_made_in_inference_mode_runs():
    with torch.inference_mode():
        made = VHeatNetwork(ARCH, img_size=64).eval()
        assert made(torch.zeros(1, 3, 64, 64))[0].isfinite().all()


@torch.no_grad()
def test_pickle_copy_and_ema(network):
    from mmengine.model import ExponentialMovingAverage
    x = torch.randn(1, 3, 64, 64)
    expected = network(x)
    average = ExponentialMovingAverage(network, momentum=0.5)
    for other in (pickle.loads(pickle.dumps(network)),
                  copy.deepcopy(network), average.module):
        ops = {id(block.op.decay_cache) for stage in other.stages
               for block in stage.blocks}
        assert ops == {id(other.decay_cache)}
        assert id(network.decay_cache) not in ops
        for a, b in zip(expected, other(x)):
            assert torch.equal(a, b)
    average.update_parameters(network)
    network.freq_embed[0].mul_(2.)
    average.update_parameters(network)
    assert torch.allclose(average.module.freq_embed[0] * 4 / 3,
                          network.freq_embed[0])


def test_gradients_of_gradients_by_the_transforms_of_torch():
    torch.manual_seed(0)
    network = VHeatNetwork(ARCH, img_size=64).double()
    x = torch.randn(1, 3, 128, 128, dtype=torch.float64)
    step = torch.randn_like(x)

    def total(x):
        return sum(out.sin().sum() for out in network(x))

    gradient = torch.func.grad(total)
    _, found = torch.func.jvp(gradient, (x, ), (step, ))
    eps = 1e-5
    expected = (gradient(x + eps * step) - gradient(x - eps * step)) / (
        2 * eps)
    assert (found - expected).norm() < 1e-6 * expected.norm()
    # by autograd they are refused, not wrong
    x.requires_grad_()
    first, = torch.autograd.grad(total(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        first.square().sum().backward()


def test_compile_serves_every_size_without_a_break(network):
    import torch._dynamo.testing
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(network, backend=counter, fullgraph=True,
                             dynamic=True)
    for size in ((64, 96), (70, 45), (33, 200), (64, 64), (96, 96)):
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            for a, b in zip(compiled(x), network(x)):
                assert torch.allclose(a, b, atol=1e-4)
    # one graph for rectangles and at most another for squares
    assert counter.frame_count <= 2
    torch._dynamo.reset()


@pytest.mark.parametrize('strict', [True, False])
def test_export_with_dynamic_height_and_width(network, strict):
    batch = torch.export.Dim('batch', min=1, max=8)
    height = torch.export.Dim('height', min=33, max=2048)
    width = torch.export.Dim('width', min=33, max=2048)
    program = torch.export.export(
        network, (torch.randn(2, 3, 64, 96), ),
        dynamic_shapes={'x': {0: batch, 2: height, 3: width}},
        strict=strict).module()
    for shape in ((1, 3, 70, 45), (3, 3, 33, 200), (2, 3, 64, 64)):
        x = torch.randn(*shape)
        with torch.no_grad():
            for a, b in zip(program(x), network(x)):
                assert torch.allclose(a, b, atol=1e-4)
