"""Number types, copies, inference mode, graph capture, with the pyramid."""

import copy
import pickle

import pytest
import torch

from mmvision_ext.itpn import ITPNNetwork, ITPNPyramidNetwork

ARCH = dict(embed_dims=32, depths=(1, 1, 2), num_heads=2)
RPE = ('none', 'table', 'decomposed')


class Model(torch.nn.Module):
    """Backbone and pyramid, every parameter of which counts."""

    def __init__(self, **kwargs):
        super().__init__()
        self.backbone = ITPNNetwork(ARCH, img_size=64, **kwargs)
        self.neck = ITPNPyramidNetwork(self.backbone.num_features, 16,
                                       num_outs=3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))

    def forward(self, x):
        return self.neck(self.backbone(x))


def relative_error(outs, references):
    return max(
        ((out.double() - ref).square().mean() /
         ref.square().mean()).sqrt().item()
        for out, ref in zip(outs, references, strict=True))


@pytest.mark.parametrize('rpe', RPE)
@pytest.mark.parametrize('dtype,bound', [(torch.float32, 1e-5),
                                         (torch.float16, 4e-3),
                                         (torch.bfloat16, 3e-2)])
def test_number_types(rpe, dtype, bound):
    model = Model(rpe=rpe).eval()
    x = torch.randn(2, 3, 70, 45)
    with torch.no_grad():
        reference = copy.deepcopy(model).double()(x.double())
        assert all(out.dtype == torch.float64 for out in reference)
        outs = copy.deepcopy(model).to(dtype)(x.to(dtype))
        assert all(out.dtype == dtype for out in outs)
        assert relative_error(outs, reference) < bound
        if dtype != torch.float32:
            with torch.autocast('cpu', dtype):
                outs = model(x)
            assert relative_error(outs, reference) < bound


@pytest.mark.parametrize('rpe', RPE)
@pytest.mark.parametrize('dtype,bound', [(torch.float16, 0.01),
                                         (torch.bfloat16, 0.06)])
def test_training_under_autocast(rpe, dtype, bound):
    model = Model(rpe=rpe, with_cp=True)
    x = torch.randn(2, 3, 80, 64)

    def gradient(enabled):
        model.zero_grad()
        with torch.autocast('cpu', dtype, enabled=enabled):
            loss = sum(out.float().square().mean() for out in model(x))
        loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    exact, low = gradient(False), gradient(True)
    assert (low - exact).norm() / exact.norm() < bound


@pytest.mark.parametrize('rpe', ['none', 'decomposed'])
def test_checkpointing_of_many_tokens(rpe):
    plain = Model(rpe=rpe)
    checked = Model(rpe=rpe, with_cp=True)
    checked.load_state_dict(plain.state_dict())
    x = torch.randn(1, 3, 368, 368)  # 529 tokens, more than MIN_PRODUCT_KEYS
    for model in (plain, checked):
        sum(out.square().mean() for out in model(x)).backward()
    for a, b in zip(plain.parameters(), checked.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_masked_paths_under_autocast():
    backbone = Model(rpe='table').backbone.eval()
    x, ids = torch.randn(1, 3, 64, 64), torch.tensor([[3, 9, 4]])
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[:, ::3] = True
    token = torch.randn(1, 1, 32)
    for run in (lambda: backbone.forward_visible(x, ids),
                lambda: backbone.forward_replaced(x, mask, token)):
        with torch.no_grad():
            reference = [out.double() for out in run()]
            with torch.autocast('cpu', torch.bfloat16):
                assert relative_error(run(), reference) < 0.03


@pytest.mark.parametrize('rpe', RPE)
def test_inference_mode_then_training(rpe):
    model = Model(rpe=rpe).eval()
    x = torch.randn(1, 3, 80, 64)
    with torch.inference_mode():
        before = model(x)
    model.train()
    outs = model(x)
    sum(out.sum() for out in outs).backward()
    for a, b in zip(before, outs):
        # kernels differ where no gradient is wanted
        assert torch.allclose(a, b, atol=1e-5)
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('change', [
    lambda p: p.mul_(1.5), lambda p: p.data.mul_(1.5),
    lambda p: setattr(p, 'data', p.data * 1.5)])
@torch.no_grad()
def test_changed_tables_are_seen(change):
    model = Model(rpe='table').backbone.eval()
    x = torch.randn(1, 3, 80, 64)
    for name in ('absolute_pos_embed',
                 'blocks.4.attn.relative_position_bias_table'):
        before = model(x)[2]
        change(model.get_parameter(name))
        after = model(x)[2]
        assert not torch.equal(before, after)
        assert torch.equal(after, copy.deepcopy(model)(x)[2])


@torch.no_grad()
def test_pickle_and_copy():
    model = Model(rpe='decomposed', window_size=2,
                  global_indices=(1, )).eval()
    x = torch.randn(1, 3, 80, 64)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        for a, b in zip(model(x), other(x)):
            assert torch.equal(a, b)


def test_nothing_but_parameters_is_stored():
    """Indices of relative positions depend on the size, so none is kept."""
    for rpe in RPE:
        model = Model(rpe=rpe)
        assert set(model.state_dict()) == {
            name for name, _ in model.named_parameters()}
        assert not list(model.buffers())


def test_tracing():
    model = Model(rpe='table').eval()
    x = torch.randn(1, 3, 70, 45)
    with torch.no_grad():
        traced = torch.jit.trace(model, x)
        for a, b in zip(traced(x), model(x)):
            assert torch.allclose(a, b, atol=1e-5)


def test_compile_serves_every_size_without_a_break():
    import torch._dynamo.testing
    torch._dynamo.reset()
    backbone = Model(rpe='table').backbone.eval()
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(backbone, backend=counter, fullgraph=True,
                             dynamic=True)
    for size in ((64, 96), (70, 45), (64, 64)):
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            for a, b in zip(compiled(x), backbone(x)):
                assert torch.allclose(a, b, atol=1e-4)
    assert counter.frame_count <= 2
    torch._dynamo.reset()


def test_export_with_dynamic_height_and_width():
    """In steps of 16 pixels; the position is right at its own size too."""
    backbone = Model().backbone.eval()
    batch = torch.export.Dim('batch', min=1, max=8)
    height, width = (16 * torch.export.Dim(name, min=2, max=128)
                     for name in ('rows', 'columns'))
    program = torch.export.export(
        backbone, (torch.randn(2, 3, 96, 128), ),
        dynamic_shapes={'x': {0: batch, 2: height, 3: width}},
        strict=False).module()
    for shape in ((1, 3, 80, 96), (3, 3, 64, 64)):
        x = torch.randn(*shape)
        with torch.no_grad():
            for a, b in zip(program(x), backbone(x)):
                assert torch.allclose(a, b, atol=1e-4)
