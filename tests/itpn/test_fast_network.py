"""Fast-iTPN: reference outputs, counts, sizes, masking, modes."""

import ast
import copy

import numpy as np
import pytest
import torch

from mmvision_ext.itpn import FAST_ARCH_ZOO, FastITPNNetwork

SMALL = dict(embed_dims=32, depths=(2, 1, 3), num_heads=2)


def make(**kwargs):
    """A small network whose every parameter counts."""
    torch.manual_seed(0)
    network = FastITPNNetwork(kwargs.pop('arch', SMALL), **{
        'img_size': 64, **kwargs})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


# --------------------------------------------------------------- reference
@pytest.mark.parametrize('size', [224, 384])
@pytest.mark.parametrize('resized_on', ['load', 'run'])
def test_golden_classifier(shared_root, size, resized_on):
    case = np.load(shared_root / 'golden' / 'itpn_fast_cls.npz')
    config = ast.literal_eval(str(case['config']))
    network = FastITPNNetwork(
        dict(
            embed_dims=config['embed_dim'],
            depths=(config['depth_stage1'], config['depth_stage2'],
                    config['depth']),
            num_heads=config['num_heads'],
            mlp_ratios=(config['bridge_mlp_ratio'], ) * 2 +
            (config['mlp_ratio'], )),
        img_size=size if resized_on == 'load' else 224,
        ln_eps=config['ln_eps'],
        out_type='avg_featmap').eval()
    state = {
        key[len('param/'):]: torch.from_numpy(case[key])
        for key in case.files if key.startswith('param/')
    }
    head = state.pop('head.weight'), state.pop('head.bias')
    network.load_state_dict(state)
    with torch.no_grad():
        pooled, = network(torch.from_numpy(case[f'input/img_{size}']))
    logits = torch.nn.functional.linear(pooled, *head)
    np.testing.assert_allclose(
        pooled, case[f'output/pooled_{size}'], rtol=0, atol=2e-5)
    np.testing.assert_allclose(
        logits, case[f'output/logits_{size}'], rtol=0, atol=2e-6)


def read_keys(path, title):
    """Names and shapes of one model in the list of the official ones."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title))
    keys = {}
    for line in lines[start + 2:]:
        if not line.strip():
            break
        name, shape = line.split(maxsplit=1)
        keys[name] = ast.literal_eval(shape)
    return keys


@pytest.mark.parametrize('arch,entries', [('base', 567), ('tiny', 283)])
def test_official_names_and_shapes(shared_root, arch, entries):
    keys = read_keys(shared_root / 'specs' / 'itpn_state_dict_keys.txt',
                     f'FAST classifier {arch}')
    assert len(keys) == entries
    with torch.device('meta'):
        network = FastITPNNetwork(arch, out_type='avg_featmap')
    own = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    dims = FAST_ARCH_ZOO[arch].embed_dims
    own |= {'head.weight': (1000, dims), 'head.bias': (1000, )}
    assert own == keys


@pytest.mark.parametrize('arch,count', [
    ('nano', 2_330_776), ('tiny', 24_219_976), ('small', 39_902_920),
    ('base', 84_825_192), ('large', 312_017_320)])
def test_parameter_counts(arch, count):
    with torch.device('meta'):
        network = FastITPNNetwork(arch, out_type='avg_featmap')
    head = 1000 * (FAST_ARCH_ZOO[arch].embed_dims + 1)
    assert sum(p.numel() for p in network.parameters()) + head == count


# ------------------------------------------------------------------- sizes
@pytest.mark.parametrize('height,width', [(64, 64), (33, 50), (16, 97),
                                          (7, 1)])
@torch.no_grad()
def test_any_size(height, width):
    network = make()
    x = torch.randn(2, 3, height, width)
    maps = network(x)
    assert [tuple(m.shape) for m in maps] == [
        (2, channels, -(-height // stride), -(-width // stride))
        for channels, stride in ((8, 4), (16, 8), (32, 16))]
    # padding is nothing but zeros at the bottom and on the right
    padded = torch.nn.functional.pad(
        x, (0, -width % 16, 0, -height % 16))
    for small, whole in zip(maps, network(padded), strict=True):
        assert torch.equal(small, whole[..., :small.shape[2],
                                        :small.shape[3]])


@pytest.mark.parametrize('height,width', [(3, 5), (61, 1), (1, 115)])
@torch.no_grad()
def test_positions_are_resized_to_the_size(height, width):
    network = make()
    # patches that are all alike and blocks that change nothing
    for name, parameter in network.named_parameters():
        if name.startswith(('patch_embed', 'blocks')):
            parameter.zero_()
    grid = network.pos_embed.unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(
        grid, size=(height, width), mode='bicubic', align_corners=False)
    x = torch.randn(1, 3, 16 * height, 16 * width)
    assert torch.allclose(network(x)[2], expected, atol=1e-5)
    ids = torch.randperm(height * width)[None, :2]
    expected = expected.flatten(2).transpose(1, 2)[:, ids[0]]
    assert torch.allclose(
        network.forward_visible(x, ids)[2], expected, atol=1e-5)


def test_positions_are_resized_on_load_and_at_run_time_alike():
    small = make(img_size=64)
    large = FastITPNNetwork(SMALL, img_size=96).eval()
    large.load_state_dict(small.state_dict())
    assert large.pos_embed.shape == (1, 36, 32)
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        for a, b in zip(small(x), large(x), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_wrong_position_table_is_an_error():
    network = make()
    for shape in ((1, 15, 32), (1, 16, 31), (2, 16, 32)):
        state = network.state_dict() | {'pos_embed': torch.zeros(shape)}
        with pytest.raises(RuntimeError, match='size mismatch for pos_embed'):
            network.load_state_dict(state)


@torch.no_grad()
def test_outputs():
    network = make()
    x = torch.randn(2, 3, 40, 64)
    whole = network(x)
    for indices in ((0, ), (1, ), (2, ), (0, 2)):
        outs = make(out_indices=indices)(x)
        assert len(outs) == len(indices)
        for i, out in zip(indices, outs):
            assert torch.equal(out, whole[i])
    average = make(out_type='avg_featmap')
    average.fc_norm.reset_parameters()
    average.load_state_dict(network.state_dict(), strict=False)
    out, = average(x)
    expected = torch.nn.functional.layer_norm(
        whole[2].mean((2, 3)), (32, ), eps=1e-6)
    assert torch.allclose(out, expected, atol=1e-6)


# ----------------------------------------------------------------- masking
@torch.no_grad()
def test_visible_equals_dense_on_kept_patches():
    network = make()
    x = torch.randn(2, 3, 64, 80)  # 4 x 5 patches
    f1, f2, last = make_tokens(network, x)
    ids = torch.stack([torch.randperm(20)[:7] for _ in range(2)])
    g1, g2, g3 = network.forward_visible(x, ids)
    batch = torch.arange(2)[:, None]
    assert torch.allclose(g1, f1[batch, ids], atol=1e-6)
    assert torch.allclose(g2, f2[batch, ids], atol=1e-6)
    assert g3.shape == (2, 7, 32)
    # all patches, in another order, are the dense network
    ids = torch.stack([torch.randperm(20) for _ in range(2)])
    assert torch.allclose(
        network.forward_visible(x, ids)[2], last[batch, ids], atol=1e-5)


@torch.no_grad()
def test_visible_sees_nothing_else():
    network = make()
    x = torch.randn(1, 3, 64, 64)
    other = torch.randn(1, 3, 64, 64)
    other[:, :, 16:32, 48:] = x[:, :, 16:32, 48:]
    other[:, :, 48:, :16] = x[:, :, 48:, :16]
    ids = torch.tensor([[7, 12]])
    for a, b in zip(network.forward_visible(x, ids),
                    network.forward_visible(other, ids)):
        assert torch.equal(a, b)


def make_tokens(network, x):
    """The dense maps in the layout of tokens."""
    tokens = []
    for level, side in zip(network(x), (4, 2, 1)):
        # (B, C, s Hp, s Wp) -> (B, C, N, s, s) -> (B, N, s, s, C)
        level = level.unflatten(3, (-1, side)).unflatten(2, (-1, side))
        level = level.transpose(3, 4).flatten(2, 3).movedim(1, 4)
        tokens.append(level.squeeze((2, 3)) if side == 1 else level)
    return tokens


@pytest.mark.parametrize('stride', [4, 16])
@torch.no_grad()
def test_replaced_without_a_mask_is_dense(stride):
    network = make()
    x = torch.randn(2, 3, 64, 80)
    token = torch.randn(1, 1, 128 if stride == 4 else 32)
    outs = network.forward_replaced(
        x, torch.zeros(2, 20, dtype=torch.bool), token, stride)
    for a, b in zip(outs, make_tokens(network, x), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@torch.no_grad()
def test_replaced_at_stride_4_hides_the_patch():
    network = make()
    x = torch.randn(1, 3, 64, 64)
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[0, 6] = True
    other = x.clone()
    other[:, :, 16:32, 32:48] = 0.
    token = torch.randn(1, 1, 128)
    for a, b in zip(network.forward_replaced(x, mask, token),
                    network.forward_replaced(other, mask, token)):
        assert torch.equal(a, b)
    # the embedded patch is the token, channel by channel
    cell = token.reshape(8, 4, 4)
    network.patch_embed.proj.weight.zero_()
    network.patch_embed.proj.bias.zero_()
    embedded = torch.zeros(1, 8, 16, 16)
    embedded[0, :, 4:8, 8:12] = cell
    dense = copy.deepcopy(network)
    dense.patch_embed.forward = lambda x: embedded.permute(0, 2, 3, 1)
    for a, b in zip(network.forward_replaced(x, mask, token),
                    make_tokens(dense, x)):
        assert torch.allclose(a, b, atol=1e-5)


@torch.no_grad()
def test_replaced_at_stride_16_leaves_the_laterals():
    network = make()
    x = torch.randn(1, 3, 64, 64)
    mask = torch.rand(1, 16) < 0.5
    token = torch.randn(1, 1, 32)
    f1, f2, last = network.forward_replaced(x, mask, token, 16)
    dense = make_tokens(network, x)
    assert torch.allclose(f1, dense[0], atol=1e-6)
    assert torch.allclose(f2, dense[1], atol=1e-6)
    assert not torch.allclose(last, dense[2], atol=1e-2)
    everything = torch.ones(1, 16, dtype=torch.bool)
    a, b = (network.forward_replaced(image, everything, token, 16)[2]
            for image in (x, torch.randn_like(x)))
    assert torch.equal(a, b)


@torch.no_grad()
def test_auxiliary_tokens():
    network = make()
    x = torch.randn(1, 3, 64, 64)
    mask = torch.rand(1, 16) < 0.5
    token = torch.randn(1, 1, 128)
    last = network.forward_replaced(x, mask, token)[2]
    for i in range(3):
        outs = network.forward_replaced(x, mask, token, aux_index=i)
        assert torch.equal(outs[2], last)
        aux = outs[3]
        for block in network.blocks[-3:][i + 1:]:
            aux = block(aux)
        assert torch.allclose(aux, last, atol=1e-6)
