"""Masked feature modelling."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmvision_ext.itpn.pretrain import MFMSettings, MomentumTeacher
from mmvision_ext.itpn.pretrain import mfm as module
from mmvision_ext.itpn.pretrain.clip_model import resize_features

NAMES = ['loss_mfm_s4', 'loss_mfm_s8', 'loss_mfm_s16']


@pytest.fixture
def noise():
    return torch.rand(2, 16, generator=torch.Generator().manual_seed(4))


def test_momentum_schedule():
    teacher = MomentumTeacher(nn.Linear(1, 1))
    assert teacher.momentum_at(0.) == 0.996
    assert teacher.momentum_at(0.5) == pytest.approx(0.998)
    assert teacher.momentum_at(0.25) == pytest.approx(
        1 - 0.004 * (1 + math.sqrt(0.5)) / 2)
    assert teacher.momentum_at(1.) == teacher.momentum_at(1.5) == 1.


def test_momentum_arithmetic():
    network = nn.Linear(1, 1)
    with torch.no_grad():
        network.weight.fill_(1.)
        network.bias.fill_(-1.)
    teacher = MomentumTeacher(network, momentum=0.9, end_momentum=0.9)
    with torch.no_grad():
        network.weight.fill_(2.)
    # 0.9 * 1 + 0.1 * 2, then 0.9 * 1.1 + 0.1 * 2
    for expected in (1.1, 1.19):
        teacher.update(network, 0.3)
        assert teacher.network.weight.item() == pytest.approx(expected)
        assert teacher.network.bias.item() == pytest.approx(-1.)
    assert network.weight.item() == 2.
    teacher.restart(network)
    assert teacher.network.weight.item() == 2.


def test_teacher_stays_frozen_and_in_eval_mode(pretrain):
    model = pretrain.build_pixel(
        backbone=dict(drop_path_rate=0.5), mfm=dict()).train()
    assert not any(m.training for m in model.momentum_teacher.modules())
    assert not any(
        p.requires_grad for p in model.momentum_teacher.parameters())
    assert model.backbone.training


def test_idle_teacher_is_an_error(pretrain, images, monkeypatch):
    monkeypatch.setattr(module, 'MAX_IDLE', 2)
    model = pretrain.build_pixel(mfm=dict())
    model.train().loss(images)
    model.loss(images)
    model.momentum_teacher.update(model.backbone, 0.)
    model.loss(images)
    model.loss(images)
    model.eval().loss(images)  # does not count
    with pytest.raises(RuntimeError, match='MomentumTeacherHook'):
        model.train().loss(images)


def test_pixel_loss_stays_as_it_is(pretrain, images, noise):
    plain = pretrain.build_pixel()
    expected = plain.loss(images, noise=noise)['loss_pixel']
    expected.backward()
    model = pretrain.build_pixel(mfm=dict(weight=0.))
    model.load_state_dict(plain.state_dict(), strict=False)
    losses = model.loss(images, noise=noise)
    assert list(losses) == ['loss_pixel', *NAMES]
    assert losses['loss_pixel'].item() == pytest.approx(
        expected.item(), rel=1e-6)
    assert [losses[name].item() for name in NAMES] == [0., 0., 0.]
    sum(losses.values()).backward()
    for name, parameter in plain.named_parameters():
        if parameter.requires_grad:
            assert torch.allclose(
                model.get_parameter(name).grad, parameter.grad,
                rtol=1e-4, atol=1e-7), name


def test_pixel_losses_by_hand(pretrain, images, noise):
    """Each level on its own, in float64."""
    model = pretrain.build_pixel(mfm=dict(weight=2.)).double()
    images = images.double()
    order = noise.argsort(1)
    keep, rest = order[:, :4], order[:, 4:]
    stages = model.backbone(images)
    pyramid = model.neck.forward_tokens(
        *model.backbone.forward_visible(images, keep))
    levels = model.head.embed(pyramid)
    inputs = [levels[0], levels[1], sum(levels)]
    losses = model.loss(images, noise=noise)
    for i, name in enumerate(NAMES):
        side = (4, 2, 1)[i]
        tokens = model.head.fill(inputs[i], keep, (4, 4), (1, 1, 3)[i])
        every = torch.arange(16).expand(2, -1)
        pred = model.mfm.heads[i](model.head.decode(tokens, every))
        total, number = 0., 0
        for b in range(2):
            for n in rest[b].tolist():
                y, x = divmod(n, 4)
                # (C, s, s) -> (s, s, C)
                target = stages[i][b, :, y * side:(y + 1) * side,
                                   x * side:(x + 1) * side].permute(1, 2, 0)
                target = (target - target.mean(-1, keepdim=True)) / (
                    target.var(-1, unbiased=False, keepdim=True) + 1e-5)**.5
                error = pred[b, n].reshape(target.shape) - target
                error = torch.where(error.abs() < 1, error**2 / 2,
                                    error.abs() - 0.5)
                total, number = total + error.sum(), number + error.numel()
        assert losses[name].item() == pytest.approx(
            2. * total.item() / number, rel=1e-5), name


def test_targets_do_not_depend_on_the_mask(pretrain, images):
    model = pretrain.build_pixel(mfm=dict()).eval()
    given = []
    model.mfm.losses = lambda tokens, targets: given.append(targets) or {}
    order = torch.stack([torch.randperm(16) for _ in range(2)])
    for noise in (order.float(), order.flip(1).float()):
        model.loss(images, noise=noise)
    hidden = [noise.argsort(1)[:, 4:]
              for noise in (order.float(), order.flip(1).float())]
    for level in range(3):
        full = torch.zeros(2, 2, 16, *given[0][level].shape[2:])
        for k in range(2):
            for b in range(2):
                full[k, b, hidden[k][b]] = given[k][level][b]
        for b in range(2):
            both = sorted({*hidden[0][b].tolist()} & {*hidden[1][b].tolist()})
            assert len(both) >= 8
            assert torch.equal(full[0, b, both], full[1, b, both])


@pytest.mark.parametrize('flavour', ['pixel', 'clip'])
def test_gradients_reach_what_is_trained(pretrain, images, noise, flavour):
    if flavour == 'pixel':
        model = pretrain.build_pixel(mfm=dict()).train()
        losses = model.loss(images, noise=noise)
    else:
        model = pretrain.build_clip(mask_stride=4, mfm=dict()).train()
        losses = model.loss(
            images, mask=noise < 0.5, target=torch.randn(2, 16, 12))
    sum(losses[name] for name in NAMES).backward(retain_graph=True)
    for part in ('backbone', 'neck', 'mfm.heads'):
        silent = [
            name for name, p in model.get_submodule(part).named_parameters()
            if p.grad is None or not p.grad.any()
        ]
        assert silent == [], part
    assert all(p.grad is None for p in model.momentum_teacher.parameters())
    # and with all losses nothing is left out, as DDP demands
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters()
               if p.requires_grad)


@pytest.mark.parametrize('distance, norm', [('cosine', 'layer'),
                                            ('smooth_l1', 'none'),
                                            ('cosine', 'none')])
def test_distances(distance, norm):
    settings = MFMSettings(distance=distance, target_norm=norm, weight=0.5)
    torch.manual_seed(0)
    part = module.MaskedFeatureModelling(settings, 6, (8, 8, 8), True,
                                         nn.Linear(1, 1))
    tokens = [torch.randn(5, 6) for _ in range(3)]
    targets = [torch.randn(5, 2, 4) for _ in range(3)]
    losses = part.losses(tokens, targets)
    for i, name in enumerate(NAMES):
        pred = part.heads[i](tokens[i]).reshape(5, 2, 4)
        target = targets[i]
        if norm == 'layer':
            target = F.layer_norm(target, (4, ))
        if distance == 'cosine':
            unit = [F.normalize(x, dim=-1) for x in (pred, target)]
            expected = 1 - (unit[0] * unit[1]).sum(-1).mean()
        else:
            expected = F.smooth_l1_loss(pred, target)
        assert losses[name].item() == pytest.approx(
            expected.item() / 2, rel=1e-5)


def test_targets_of_clip(pretrain, images, noise):
    model = pretrain.build_clip(mfm=dict(teacher='clip', weight=1.)).eval()
    assert model.momentum_teacher is None
    mask, target = noise < 0.5, torch.randn(2, 16, 12)
    losses = model.loss(images, mask=mask, target=target)
    pyramid, _, _ = model._run(images, mask, (4, 4))
    pred = model.mfm.heads[2](pyramid[2])[mask]
    expected = F.smooth_l1_loss(
        pred, F.layer_norm(target, (12, ))[mask][:, None, None])
    assert losses['loss_mfm_s16'].item() == pytest.approx(
        expected.item(), rel=1e-5)
    maps = resize_features(torch.arange(16.).reshape(1, 16, 1), (4, 4))
    assert [tuple(x.shape) for x in maps] == [(1, 1, 16, 16), (1, 1, 8, 8),
                                              (1, 1, 4, 4)]
    assert torch.equal(maps[2].flatten(), torch.arange(16.))
    # centres of the cells of stride 8 lie a quarter of a patch off
    assert maps[1][0, 0, 3, 2:6].tolist() == [5.75, 6.25, 6.75, 7.25]


def test_state_dict_keeps_the_teacher(pretrain):
    model = pretrain.build_pixel(mfm=dict())
    with torch.no_grad():
        for parameter in model.momentum_teacher.parameters():
            parameter.add_(0.5)
    other = pretrain.build_pixel(mfm=dict())
    other.load_state_dict(model.state_dict())
    for name, value in model.momentum_teacher.state_dict().items():
        assert torch.equal(other.momentum_teacher.state_dict()[name], value)
    assert not any(
        name.startswith(('backbone.', 'neck.')) and 'teacher' in name
        for name in model.state_dict())


def test_file_without_a_teacher_starts_it_from_its_backbone(pretrain):
    plain = pretrain.build_pixel()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.mul_(1.5)
    model = pretrain.build_pixel(mfm=dict())
    missing = model.load_state_dict(plain.state_dict(), strict=False)
    assert {name.split('.')[1] for name in missing.missing_keys} == {'heads'}
    assert missing.unexpected_keys == []
    own = plain.backbone.state_dict()
    for part in (model.backbone, model.momentum_teacher.network):
        for name, value in part.state_dict().items():
            assert torch.equal(own[name], value)


def test_initialisation_restarts_the_teacher(pretrain):
    model = pretrain.build_pixel(mfm=dict())
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            parameter.add_(0.5)
    model.init_weights()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(
            model.momentum_teacher.network.state_dict()[name], value)


@pytest.mark.parametrize('change, message', [
    (dict(teacher='self'), "teacher of mfm is 'self'"),
    (dict(distance='l2'), "distance of mfm is 'l2'"),
    (dict(target_norm='batch'), "target_norm of mfm is 'batch'"),
    (dict(weight=-1), 'weight of mfm is -1'),
    (dict(momentum=0.9, end_momentum=0.8), '0.9 to 0.8'),
    (dict(momentum=-0.1), '-0.1 to 1.0'),
])
def test_refusals(change, message):
    with pytest.raises(ValueError, match=message):
        MFMSettings(**change)
