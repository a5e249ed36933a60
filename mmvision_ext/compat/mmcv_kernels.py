"""The operators of the stand-in, called as mmcv calls its extension.

Every rule here (ties, thresholds, order of the sums) is that of the compiled
CPU operators, which compute in float32 and compare with a float32 threshold.
"""

import ctypes
from collections.abc import Callable

import numpy as np
import torch
import torchvision  # noqa: F401  registers torch.ops.torchvision
from torch import Tensor

AVERAGE = 1  # mmcv's number for average pooling; 0 is max


def _load_expf() -> Callable[[float], float] | None:
    """The C library's float32 exponential, which compiled mmcv calls.

    It is not correctly rounded, and numpy's and torch's round differently.
    None where the process does not expose it.
    """
    try:
        function = ctypes.CDLL(None).expf
    except (AttributeError, OSError, TypeError):
        return None
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return function


_expf = _load_expf()


def _computable(tensor: Tensor) -> Tensor:
    """Detach, and raise half precision to float32."""
    tensor = tensor.detach()
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def nms(boxes: Tensor,
        scores: Tensor,
        iou_threshold: float,
        offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes (Tensor): Shape (N, 4), x1, y1, x2, y2.
        scores (Tensor): Shape (N, ). Of equal scores the first box wins.
        iou_threshold (float): A box goes when its IoU with a kept one is
            greater than this, as a float32.
        offset (int): 0 or 1, added to widths and heights. Defaults to 0.

    Returns:
        Tensor: int64 indices of the kept boxes, by falling score.
    """
    threshold = float(np.float32(iou_threshold))
    boxes, scores = _computable(boxes), _computable(scores)
    if offset == 0:
        dtype = torch.promote_types(boxes.dtype, scores.dtype)
        return torch.ops.torchvision.nms(
            boxes.to(dtype), scores.to(dtype), threshold)
    order = scores.sort(stable=True, descending=True).indices
    keep = _nms_offset(boxes[order].cpu().numpy(), threshold, offset)
    return order[torch.from_numpy(keep).to(order.device)]


def _nms_offset(boxes: np.ndarray, threshold: float,
                offset: int) -> np.ndarray:
    """NMS of boxes sorted by score, with ``offset`` in their sizes.

    Adding the offset to the corners instead would round differently.
    """
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    areas = (x2 - x1 + offset) * (y2 - y1 + offset)
    alive = np.ones(len(boxes), dtype=bool)
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        rest = slice(i + 1, None)
        overlap = _iou((x1[i], y1[i], x2[i], y2[i], areas[i]),
                       (x1[rest], y1[rest], x2[rest], y2[rest], areas[rest]),
                       offset)
        alive[rest] &= ~(overlap > boxes.dtype.type(threshold))
    return np.flatnonzero(alive)


def _iou(one: tuple, many: tuple, offset: int) -> np.ndarray:
    """IoU of one (x1, y1, x2, y2, area) with arrays of the same five."""
    zero = many[0].dtype.type(0)
    width = np.minimum(one[2], many[2]) - np.maximum(one[0], many[0]) + offset
    height = np.minimum(one[3], many[3]) - np.maximum(one[1], many[1]) + offset
    inter = np.maximum(zero, width) * np.maximum(zero, height)
    with np.errstate(divide='ignore', invalid='ignore'):
        # two boxes without area give NaN, which no threshold catches
        return inter / (one[4] + many[4] - inter)


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float,
            sigma: float, min_score: float, method: int,
            offset: int) -> Tensor:
    """Soft non-maximum suppression on CPU tensors.

    Args:
        boxes (Tensor): Shape (N, 4), x1, y1, x2, y2.
        scores (Tensor): Shape (N, ).
        dets (Tensor): Shape (N, 5); its first K rows are overwritten with
            the kept boxes and their lowered scores.
        iou_threshold (float): Where ``naive`` drops and ``linear`` starts.
        sigma (float): Width of ``gaussian``.
        min_score (float): Boxes whose score falls below it are dropped.
        method (int): 0 naive, 1 linear, 2 gaussian.
        offset (int): 0 or 1, added to widths and heights.

    Returns:
        Tensor: int64 indices of the K kept boxes, in the order of ``dets``.
    """
    box = boxes.detach().float().numpy()
    # rows: x1, y1, x2, y2, area, score; permuted together with `index`
    work = np.empty((6, len(box)), dtype=np.float32)
    work[:4] = box.T
    work[4] = (work[2] - work[0] + offset) * (work[3] - work[1] + offset)
    work[5] = scores.detach().float().numpy()
    index = np.arange(len(box))
    count, i = len(box), 0
    while i < count:
        best = i + int(np.argmax(work[5, i:count]))
        work[:, [i, best]] = work[:, [best, i]]
        index[[i, best]] = index[[best, i]]
        rest = slice(i + 1, count)
        overlap = _iou(tuple(work[:5, i]), tuple(work[:5, rest]), offset)
        work[5, rest] *= _decay(overlap, method, iou_threshold, sigma)
        order = _survivors(work[5, rest] < np.float32(min_score))
        count = i + 1 + len(order)
        work[:, i + 1:count] = work[:, rest][:, order]
        index[i + 1:count] = index[rest][order]
        i += 1
    kept = torch.from_numpy(work[[0, 1, 2, 3, 5], :count].T.copy())
    dets[:count] = kept.to(dets)
    return torch.from_numpy(index[:count].copy())


def _decay(overlap: np.ndarray, method: int, iou_threshold: float,
           sigma: float) -> np.ndarray:
    """Factor that lowers the scores of boxes with this IoU."""
    if method == 2:
        factor = np.ones_like(overlap)
        hit = overlap != 0
        exponent = -(overlap[hit] * overlap[hit]) / np.float32(sigma)
        if _expf is None:  # the correctly rounded one is the nearest
            factor[hit] = np.exp(exponent.astype(np.float64))
        else:
            factor[hit] = [_expf(value) for value in exponent.tolist()]
        return factor
    over = overlap >= np.float32(iou_threshold)
    lowered = 1 - overlap if method == 1 else np.zeros_like(overlap)
    return np.where(over, lowered, np.float32(1))


def _survivors(drop: np.ndarray) -> np.ndarray:
    """Order of what is left when each dropped entry is filled by the last.

    The order decides which of several equal scores comes first later.
    """
    order = np.arange(len(drop))
    count = len(drop)
    for hole in np.flatnonzero(drop):
        while count > hole and drop[count - 1]:
            count -= 1
        if count <= hole:
            break
        count -= 1
        order[hole] = order[count]
    return order[:count]


def _check_average(name: str, pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        from .mmcv_ops import refusal
        raise NotImplementedError(refusal(f'{name} with pool_mode="max"'))


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor,
                      argmax_y: Tensor, argmax_x: Tensor,
                      aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int,
                      pool_mode: int, aligned: bool) -> None:
    """Average RoIAlign.

    Args:
        input (Tensor): Shape (B, C, H, W).
        rois (Tensor): Shape (N, 5), image index, x1, y1, x2, y2.
        output (Tensor): Shape (N, C, aligned_height, aligned_width);
            overwritten.
        argmax_y (Tensor): Unused by average pooling.
        argmax_x (Tensor): Unused by average pooling.
        aligned_height (int): Rows of bins.
        aligned_width (int): Columns of bins.
        spatial_scale (float): From coordinates of the boxes to pixels.
        sampling_ratio (int): Samples a bin and side; 0 for as many as
            there are pixels.
        pool_mode (int): 1 for average pooling.
        aligned (bool): Whether to shift by half a pixel.

    Raises:
        NotImplementedError: For max pooling.
    """
    _check_average('roi_align_forward', pool_mode)
    pixels = _computable(input)
    output.copy_(
        torch.ops.torchvision.roi_align(pixels, rois.detach().to(pixels),
                                        spatial_scale, aligned_height,
                                        aligned_width, sampling_ratio,
                                        aligned))


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor,
                       argmax_x: Tensor, grad_input: Tensor,
                       aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int,
                       pool_mode: int, aligned: bool) -> None:
    """Gradient of :func:`roi_align_forward`, added to ``grad_input``.

    Args:
        grad_output (Tensor): Shape (N, C, aligned_height, aligned_width).
        rois (Tensor): As in the forward.
        argmax_y (Tensor): Unused by average pooling.
        argmax_x (Tensor): Unused by average pooling.
        grad_input (Tensor): Shape (B, C, H, W); added to.
        aligned_height (int): As in the forward.
        aligned_width (int): As in the forward.
        spatial_scale (float): As in the forward.
        sampling_ratio (int): As in the forward.
        pool_mode (int): 1 for average pooling.
        aligned (bool): As in the forward.

    Raises:
        NotImplementedError: For max pooling.
    """
    _check_average('roi_align_backward', pool_mode)
    grad = _computable(grad_output)
    grad_input += torch.ops.torchvision._roi_align_backward(
        grad, rois.detach().to(grad), spatial_scale, aligned_height,
        aligned_width, *grad_input.shape, sampling_ratio, aligned)
