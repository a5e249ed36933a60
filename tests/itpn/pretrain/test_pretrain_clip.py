"""CLIP pre-training."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement

from mmvision_ext.itpn.pretrain import ITPNCLIPPretrain, scale_for_clip


@pytest.fixture
def mask():
    generator = torch.Generator().manual_seed(2)
    return torch.rand(2, 16, generator=generator) < 0.4


@pytest.mark.parametrize('arch, size, dims, millions', [
    ('base', 224, 512, '88.738288'),
    ('base', 224, 768, '89.00'),
    ('large', 224, 768, '307.45'),
    ('large', 256, 768, '307.62'),
])
def test_parameters(pretrain, arch, size, dims, millions):
    model = pretrain.build_on_meta(
        pretrain.build_clip, arch, img_size=size, teacher_dims=dims)
    digits = len(millions.split('.')[1])
    assert f'{pretrain.count(model) / 1e6:.{digits}f}' == millions


def test_auxiliary_branch(pretrain):
    model = pretrain.build_clip(
        arch=dict(embed_dims=32, depths=(3, 3, 24), num_heads=2),
        backbone=dict(drop_path_rate=0.29))
    assert model.aux_index == 18
    first, second = model.head.cls_pt_layers
    # 30 blocks, so rates rise by 0.01; six of them before the last stage
    assert first.drop_path.drop_prob == pytest.approx(0.24)
    assert second.drop_path.drop_prob == pytest.approx(0.25)
    assert {first.norm1.eps, first.norm2.eps, second.norm1.eps} == {1e-5}
    assert {model.head.norm.eps, model.head.norm_cls.eps} == {1e-6}
    assert first.attn.relative_position_bias_table.shape == (49, 2)
    assert torch.equal(first.gamma_1, torch.full((32, ), 0.1))
    shallow = pretrain.build_clip()
    assert shallow.aux_index == 3
    bare = pretrain.build_clip(aux=False)
    assert not any('cls' in name for name in bare.state_dict())


def test_losses(pretrain, images, mask):
    model = pretrain.build_clip().eval()
    target = torch.randn(2, 16, 12)
    losses = model.loss(images, mask=mask, target=target)
    _, main, aux = model._run(images, mask, (4, 4))
    assert losses['loss_main'] == F.smooth_l1_loss(main, target)
    assert losses['loss_aux'] == F.smooth_l1_loss(aux, target)
    only = pretrain.build_clip(masked_only=True, aux=False).eval()
    only.load_state_dict(model.state_dict(), strict=False)
    losses = only.loss(images, mask=mask, target=target)
    assert losses.keys() == {'loss_main'}
    assert losses['loss_main'] == F.smooth_l1_loss(main[mask], target[mask])


@pytest.mark.parametrize('stride, leaks', [(16, True), (4, False)])
def test_what_the_mask_hides(pretrain, images, mask, stride, leaks):
    """Whether the finer levels change with the pixels of hidden patches."""
    model = pretrain.build_clip(mask_stride=stride).eval()
    assert model.head.mask_token.shape == (1, 1, 512 // stride)
    pixels = mask.reshape(2, 1, 4, 4).repeat_interleave(
        16, 2).repeat_interleave(16, 3)
    changed = torch.where(pixels, torch.randn_like(images), images)
    with torch.no_grad():
        before, main, aux = model._run(images, mask, (4, 4))
        after, main_after, aux_after = model._run(changed, mask, (4, 4))
    same = [torch.equal(x, y) for x, y in zip(before, after)]
    assert same == [not leaks, not leaks, True]
    assert torch.equal(main, main_after) == (not leaks)
    assert torch.equal(aux, aux_after)


@pytest.mark.parametrize('stride', [4, 16])
def test_every_trained_parameter_has_a_gradient(pretrain, images, mask,
                                                stride):
    model = pretrain.build_clip(mask_stride=stride).train()
    losses = model.loss(images, mask=mask, target=torch.randn(2, 16, 12))
    sum(losses.values()).backward()
    assert [
        name for name, parameter in model.named_parameters()
        if parameter.grad is None
    ] == []


def test_fast_backbone(images, mask):
    arch = dict(embed_dims=32, depths=(1, 1, 4), num_heads=2)
    model = ITPNCLIPPretrain(
        dict(type='mmvision_ext.FastITPN', arch=arch, img_size=64),
        dict(
            type='mmvision_ext.FastITPNPyramid',
            in_channels=(8, 16, 32),
            out_channels=16),
        teacher_dims=12,
        mask_stride=4,
        masked_only=True).train()
    losses = model.loss(images, mask=mask, target=torch.randn(2, 16, 12))
    sum(losses.values()).backward()
    assert losses.keys() == {'loss_main', 'loss_aux'}
    assert all(p.grad is not None for p in model.parameters())


def test_scaling():
    # the mean of CLIP, and black and white, by hand
    x = torch.tensor([0.48145466, 0.4578275, 0.40821073])[None, :, None, None]
    assert torch.allclose(
        scale_for_clip(x, 'correct'), torch.zeros(1, 3, 1, 1), atol=1e-6)
    white = torch.ones(1, 3, 1, 1)
    expected = torch.tensor([1.9303361, 2.0748837, 2.1458969])
    for scaling in ('correct', 'released'):
        assert torch.allclose(
            scale_for_clip(white, scaling).flatten(), expected, atol=1e-5)
    black = scale_for_clip(0 * white, 'released').flatten()
    expected = torch.tensor([0.0690368, 0.1613933, 0.3328388])
    assert torch.allclose(black, expected, atol=1e-5)
    with pytest.raises(ValueError, match="'half'"):
        scale_for_clip(white, 'half')


class Teacher(torch.nn.Module):
    """Means of the patches, and what it was given."""
    out_dims = 12

    def forward(self, view):
        self.view = view
        # (B, 3, 4, 4) -> (B, 16, 12)
        x = F.avg_pool2d(view, 16).flatten(2).transpose(1, 2)
        return torch.cat([x, x**2, -x, 3 * x], 2)


def test_target_of_a_teacher(pretrain, images, mask):
    model = pretrain.build_clip(teacher=Teacher()).eval()
    view = torch.rand(2, 3, 64, 64)
    losses = model.loss([images, view], mask=mask)
    assert torch.equal(model.teacher.view, scale_for_clip(view, 'correct'))
    features = model.teacher(model.teacher.view)
    centred = features - features.mean(-1, keepdim=True)
    target = centred / (features.var(-1, unbiased=False, keepdim=True) +
                        1e-5).sqrt()
    expected = model.loss(images, mask=mask, target=target)
    for name, value in losses.items():
        assert value.item() == pytest.approx(expected[name].item(), rel=1e-6)
    squeezed = pretrain.build_clip(
        teacher=Teacher(), teacher_scaling='released').eval()
    other = squeezed.loss([images, view], mask=mask)
    assert torch.equal(squeezed.teacher.view,
                       scale_for_clip((view + 1) / 2, 'correct'))
    assert other['loss_main'].item() != pytest.approx(
        losses['loss_main'].item(), rel=1e-3)


def test_mask_of_the_data_samples(pretrain, images, mask):
    model = pretrain.build_clip().eval()
    target = torch.randn(2, 16, 12)
    samples = [BaseDataElement(mask=one.reshape(4, 4)) for one in mask]
    given = model.loss(images, mask=mask, target=target)
    found = model.loss(images, samples, target=target)
    assert given == found
    predictions = model(images, samples, mode='predict')
    _, main, _ = model._run(images, mask, (4, 4))
    for i, sample in enumerate(predictions):
        assert sample is samples[i]
        assert torch.allclose(sample.feature[:, 2, 1], main[i, 9], atol=1e-6)
        assert torch.equal(sample.mask, mask[i].reshape(4, 4))


def test_autocast(pretrain, images, mask):
    model = pretrain.build_clip().eval()
    target = torch.randn(2, 16, 12)
    plain = model.loss(images, mask=mask, target=target)
    with torch.autocast('cpu', torch.bfloat16):
        mixed = model.loss(images, mask=mask, target=target)
    for name, value in mixed.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(plain[name].item(), rel=2e-2)


@pytest.mark.parametrize('change, message', [
    (dict(teacher_scaling='half'), "'half'"),
    (dict(mask_stride=8), 'mask_stride is 8'),
    (dict(teacher=Teacher(), teacher_dims=768), 'has 12 channels'),
    (dict(mfm=dict(teacher='momentum')), 'mask_stride=4'),
])
def test_refusals(pretrain, change, message):
    with pytest.raises(ValueError, match=message):
        pretrain.build_clip(**change)


def test_refuses_at_run_time(pretrain, images, mask):
    model = pretrain.build_clip()
    target = torch.randn(2, 16, 12)
    with pytest.raises(ValueError, match='BlockMaskGenerator'):
        model.loss(images, target=target)
    with pytest.raises(ValueError, match='no teacher'):
        model.loss(images, mask=mask)
    with pytest.raises(ValueError, match=r'input_size=\(4, 4\)'):
        model.loss(images, mask=mask[:, :9], target=target)
    with pytest.raises(ValueError, match='12 channels for each of 4 x 4'):
        model.loss(images, mask=mask, target=target[..., :8])
    taught = pretrain.build_clip(teacher=Teacher())
    with pytest.raises(ValueError, match='no second view'):
        taught.loss(images, mask=mask)
    with pytest.raises(ValueError, match='expected 0 to 1'):
        taught.loss([images, 255 * images], mask=mask)
