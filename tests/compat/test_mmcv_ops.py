"""The torchvision stand-in for mmcv's compiled extension."""
import importlib
import importlib.machinery
import importlib.util
import sys
import textwrap

import numpy as np
import pytest
import torch

from mmvision_ext.compat import mmcv_ops

if mmcv_ops.mmcv_ops_in_use() != 'stand-in':
    pytest.skip(
        'the stand-in is not in use here: the mmcv operators are '
        f'{mmcv_ops.mmcv_ops_in_use()!r}',
        allow_module_level=True)

GOLDEN_CASES = range(4)
ALIGN_CASES = [
    f'avg_{size}_sampling{ratio}_{kind}' for size in (7, 14)
    for ratio in (0, 2) for kind in ('aligned', 'legacy')
]


@pytest.fixture(scope='module')
def golden(shared_root):
    path = shared_root / 'golden' / 'mmcv_ops.npz'
    if not path.is_file():
        pytest.skip(f'{path.name} is not in the reference folder')
    with np.load(path) as data:
        return {
            name: torch.from_numpy(data[name])
            if data[name].ndim else data[name].item()
            for name in data.files
        }


@pytest.mark.smoke
@pytest.mark.parametrize('case', GOLDEN_CASES)
@pytest.mark.parametrize('threshold', [0.3, 0.7])
def test_nms_equals_compiled(golden, case, threshold):
    from mmcv.ops import nms
    boxes = golden[f'nms/{case}/boxes']
    scores = golden[f'nms/{case}/scores']
    dets, keep = nms(
        boxes, scores, threshold, offset=golden[f'nms/{case}/offset'])
    assert torch.equal(keep, golden[f'nms/{case}/iou{threshold}/keep'])
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], 1)[keep])


@pytest.mark.smoke
@pytest.mark.parametrize('case', GOLDEN_CASES)
def test_batched_nms_equals_compiled(golden, case):
    from mmcv.ops import batched_nms
    _, keep = batched_nms(golden[f'nms/{case}/boxes'],
                          golden[f'nms/{case}/scores'],
                          golden[f'nms/{case}/labels'],
                          dict(type='nms', iou_threshold=0.5))
    assert torch.equal(keep, golden[f'nms/{case}/batched_iou0.5/keep'])


@pytest.mark.smoke
@pytest.mark.parametrize('case', GOLDEN_CASES)
@pytest.mark.parametrize('method', ['linear', 'gaussian', 'naive'])
def test_soft_nms_equals_compiled(golden, case, method):
    from mmcv.ops import soft_nms
    dets, keep = soft_nms(
        golden[f'nms/{case}/boxes'],
        golden[f'nms/{case}/scores'],
        method=method,
        offset=golden[f'nms/{case}/offset'])
    assert torch.equal(keep, golden[f'nms/{case}/soft_{method}/keep'])
    assert torch.equal(dets, golden[f'nms/{case}/soft_{method}/dets'])


@pytest.mark.smoke
@pytest.mark.parametrize('case', ALIGN_CASES)
def test_roi_align_equals_compiled(golden, case):
    from mmcv.ops import RoIAlign
    mode, size, sampling, kind = case.split('_')
    pixels = golden['roi_align/input'].clone().requires_grad_()
    layer = RoIAlign(
        int(size),
        golden['roi_align/spatial_scale'],
        int(sampling[-1]),
        pool_mode=mode,
        aligned=kind == 'aligned')
    output = layer(pixels, golden['roi_align/rois'])
    assert torch.equal(output, golden[f'roi_align/{case}/output'])
    output.backward(torch.linspace(-1, 1, output.numel()).view_as(output))
    assert torch.equal(pixels.grad, golden[f'roi_align/{case}/grad_input'])


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_of_nothing(offset):
    from mmcv.ops import nms
    dets, keep = nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset=offset)
    assert dets.shape == (0, 5)
    assert keep.shape == (0, ) and keep.dtype == torch.int64


def test_batched_and_soft_nms_of_nothing():
    from mmcv.ops import batched_nms, soft_nms
    boxes, scores = torch.zeros(0, 4), torch.zeros(0)
    dets, keep = soft_nms(boxes, scores)
    assert dets.shape == (0, 5) and keep.dtype == torch.int64
    dets, keep = batched_nms(boxes, scores, torch.zeros(0), None)
    assert dets.shape == (0, 5) and keep.shape == (0, )


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_threshold_is_a_float32(offset):
    """IoU 3/10 as float32 exceeds 0.3 as float64, but not as float32."""
    from mmcv.ops import nms
    size = 6.5 - offset
    boxes = torch.tensor([[0, 0, size, 1 - offset],
                          [3.5, 0, 3.5 + size, 1 - offset]])
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.3, offset=offset)[1].tolist() == [0, 1]
    assert nms(boxes, scores, 0.2999, offset=offset)[1].tolist() == [0]


@pytest.mark.parametrize('offset', [0, 1])
def test_nms_keeps_the_first_of_equal_scores(offset):
    from mmcv.ops import nms
    boxes = torch.tensor([[0., 0, 10, 10]] * 3 + [[50., 50, 60, 60]] * 2)
    keep = nms(boxes, torch.full((5, ), 0.5), 0.5, offset=offset)[1]
    assert keep.tolist() == [0, 3]


def test_nms_offset_widens_the_boxes():
    """One pixel each: disjoint without the offset, IoU 1 with it."""
    from mmcv.ops import nms
    boxes = torch.tensor([[3., 3, 3, 3], [3., 3, 3, 3]])
    scores = torch.tensor([0.5, 0.6])
    assert nms(boxes, scores, 0.5, offset=0)[1].tolist() == [1, 0]
    assert nms(boxes, scores, 0.5, offset=1)[1].tolist() == [1]


def test_nms_options_of_the_python_side():
    from mmcv.ops import nms
    boxes = torch.tensor([[0., 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9],
                          [41, 0, 50, 9]])
    scores = torch.tensor([0.2, 0.9, 0.5, 0.7])
    assert nms(boxes, scores, 0.5)[1].tolist() == [1, 3, 0]
    assert nms(boxes, scores, 0.5, max_num=2)[1].tolist() == [1, 3]
    assert nms(
        boxes, scores, 0.5, score_threshold=0.3)[1].tolist() == [1, 3]
    dets, keep = nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(keep, np.ndarray) and keep.tolist() == [1, 3, 0]
    assert dets.dtype == np.float32


def test_nms_of_mixed_precision():
    """Boxes in float32 with half scores are what autocast leaves."""
    from mmcv.ops import nms
    boxes = torch.tensor([[0., 0, 9, 9], [1, 0, 10, 9], [40, 0, 49, 9]])
    scores = torch.tensor([0.2, 0.9, 0.5])
    for kinds in [(torch.float32, torch.half), (torch.half, torch.float32),
                  (torch.bfloat16, torch.bfloat16)]:
        keep = nms(boxes.to(kinds[0]), scores.to(kinds[1]), 0.5)[1]
        assert keep.tolist() == [1, 2]


def test_soft_nms_orders_holes_like_the_compiled_loop():
    """A dropped box is filled by the last, which then precedes its equals."""
    from mmcv.ops import soft_nms
    boxes = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 9], [40, 0, 49, 9],
                          [60, 0, 69, 9]])
    scores = torch.tensor([0.9, 0.8, 0.5, 0.5])
    dets, keep = soft_nms(boxes, scores, 0.3, method='naive')
    assert keep.tolist() == [0, 3, 2]
    assert dets[:, 4].tolist() == pytest.approx([0.9, 0.5, 0.5])


def test_roi_align_gradient_is_that_of_its_output():
    from mmcv.ops import roi_align
    pixels = torch.rand(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.5, 1, 5, 4.5], [0, 2, 2, 3, 6]]).double()
    assert torch.autograd.gradcheck(
        lambda x: roi_align(x, rois, 2, 0.9, 2, 'avg', True), pixels)


@pytest.mark.parametrize('dtype', [torch.half, torch.bfloat16])
def test_roi_align_in_half_precision(dtype):
    from mmcv.ops import roi_align
    pixels = torch.rand(1, 2, 6, 7).to(dtype).requires_grad_()
    rois = torch.tensor([[0, 0.5, 1, 5, 4.5]]).to(dtype)
    output = roi_align(pixels, rois, 2, 1.0, 2, 'avg', True)
    output.sum().backward()
    exact = roi_align(pixels.float(), rois.float(), 2, 1.0, 2, 'avg', True)
    assert torch.equal(output, exact.to(dtype))
    # bilinear weights of every sample sum to one
    assert pixels.grad.float().sum().item() == pytest.approx(8, rel=0.02)


def test_roi_align_of_no_boxes():
    from mmcv.ops import roi_align
    pixels = torch.rand(2, 3, 8, 8, requires_grad=True)
    output = roi_align(pixels, torch.zeros(0, 5), 7, 1.0, 0, 'avg', True)
    assert output.shape == (0, 3, 7, 7)
    output.sum().backward()
    assert torch.equal(pixels.grad, torch.zeros_like(pixels))


def test_max_roi_align_is_refused():
    from mmcv.ops import roi_align
    with pytest.raises(NotImplementedError, match='roi_align.*max'):
        roi_align(
            torch.rand(1, 1, 4, 4), torch.tensor([[0., 0, 0, 3, 3]]), 2, 1.0,
            0, 'max', True)


def test_other_operators_exist_and_raise():
    extension = importlib.import_module('mmcv._ext')
    assert hasattr(extension, 'deform_conv_forward')
    with pytest.raises(NotImplementedError) as caught:
        extension.deform_conv_forward(1, kernel=2)
    message = str(caught.value)
    assert '`deform_conv_forward`' in message
    assert 'pip install' in message and '--no-build-isolation' in message
    assert not hasattr(extension, '_deform')
    assert not hasattr(extension, '__path__')


def test_stock_layer_of_another_operator_raises():
    from mmcv.ops import DeformConv2d
    layer = DeformConv2d(2, 2, 3)
    with pytest.raises(NotImplementedError, match='deform_conv_forward'):
        layer(torch.rand(1, 2, 5, 5), torch.rand(1, 18, 3, 3))


@pytest.mark.smoke
def test_module_has_a_spec_and_the_finder_comes_late():
    spec = importlib.util.find_spec('mmcv._ext')
    assert spec.name == 'mmcv._ext'
    assert spec.origin == 'mmvision_ext.compat.mmcv_ops'
    mmcv_ops.install()
    finders = [
        isinstance(finder, mmcv_ops.StandInFinder)
        for finder in sys.meta_path
    ]
    assert finders.count(True) == 1
    # behind the one that would find a compiled extension
    assert finders.index(True) > sys.meta_path.index(
        importlib.machinery.PathFinder)
    # the probes of mmcv and mmengine, pkgutil among them
    from mmcv.utils.ext_loader import check_ops_exist
    from mmengine.utils.dl_utils.misc import mmcv_full_available
    assert check_ops_exist() and mmcv_full_available()


def test_environment_report_of_mmcv_works():
    from mmcv.utils import collect_env
    assert collect_env()['MMCV Compiler'] == 'not compiled (stand-in)'


@pytest.mark.smoke
def test_one_log_line_and_no_import_of_mmcv_at_setup(run_python):
    done = run_python(
        '-c',
        textwrap.dedent("""
            import sys
            from mmvision_ext.compat import setup
            setup()
            loaded = {'mmcv', 'mmdet', 'mmseg', 'mmpretrain'} & set(
                sys.modules)
            assert not loaded, loaded
            import mmcv.ops, mmcv.ops.nms
            setup()
        """))
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    assert output.count('mmcv operators:') == 1
    assert 'stand-in is in use' in output


def test_compiled_extension_is_preferred(run_python, tmp_path):
    """A module in mmcv's own folder answers, and the stand-in is silent."""
    (tmp_path / '_ext.py').write_text('marker = 42\n')
    done = run_python(
        '-c',
        textwrap.dedent("""
            import sys
            import mmcv
            mmcv.__path__.append(sys.argv[1])
            from mmvision_ext.compat import mmcv_ops_in_use, setup
            setup()
            from mmcv import _ext
            assert _ext.marker == 42
            assert not hasattr(_ext, 'nms')
            assert mmcv_ops_in_use() == 'compiled'
        """), tmp_path)
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr
    assert output.count('mmcv operators:') == 1
    assert 'compiled extension is in use' in output


def test_without_torchvision_there_is_no_stand_in(run_python):
    done = run_python(
        '-c',
        textwrap.dedent("""
            import sys
            sys.modules['torchvision'] = None
            from mmvision_ext.compat import mmcv_ops_in_use, setup
            setup()
            assert mmcv_ops_in_use() == 'none'
            try:
                from mmcv import _ext
            except ImportError as error:
                print('refused:', error)
        """))
    assert done.returncode == 0, done.stderr
    assert 'refused:' in done.stdout
