"""What is exported: a network from pixels to its outputs, in one graph."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .source import Source

#: Sides in pixels that a file of any size is for.
MIN_SIDE, MAX_SIDE = 49, 4096
#: The size that is traced where none was asked for.
TRACED = (80, 112)


class AdaptivePool(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two products with matrices.

    ONNX has no adaptive pooling of a size that it does not know.

    Args:
        scale (int): Rows and columns after it.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale, scale)."""
        rows, columns = (self._matrix(x, dim) for dim in (2, 3))
        return rows @ x @ columns.t()

    def _matrix(self, x: Tensor, dim: int) -> Tensor:
        length = x.shape[dim]
        place = torch.arange(length, device=x.device)
        cell = torch.arange(self.scale, device=x.device)[:, None]
        # Cell i averages from floor(i L / S) to ceil((i + 1) L / S).
        start = cell * length // self.scale
        stop = ((cell + 1) * length + self.scale - 1) // self.scale
        inside = ((place >= start) & (place < stop)).to(x.dtype)
        return inside / inside.sum(1, keepdim=True)  # (scale, L)


class Pipeline(nn.Module):
    """Pixels to logits or maps.

    Takes images of shape (B, 3, H, W), red, green and blue. With
    ``normalise`` they are 0 to 255; otherwise they have gone through the
    network's mean and deviation already.

    Args:
        source (Source): The network; its pooling layers are changed for
            good.
        normalise (bool): Whether the graph normalises. Defaults to True.
    """

    def __init__(self, source: Source, normalise: bool = True) -> None:
        super().__init__()
        self.model = source.model
        self.task = source.task
        self.rgb = source.rgb
        self.normalise = normalise
        for name, values in (('mean', source.mean), ('std', source.std)):
            # (3,) -> (3, 1, 1)
            self.register_buffer(name, torch.tensor(values)[:, None, None])
        if source.task == 'segmentation':
            _replace_pools(self.model)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """One tensor of logits, or the maps of a backbone.

        Args:
            images (Tensor): Shape (B, 3, H, W).

        Returns:
            tuple[Tensor, ...]: (B, classes) of a classifier, (B, classes,
            H, W) of a segmentor, (B, C_i, H_i, W_i) for each map of a
            backbone.
        """
        x = images if self.rgb else images.flip(1)
        if self.normalise:
            x = (x - self.mean) / self.std
        if self.task == 'backbone':
            return tuple(self.model(x))
        maps = self.model.extract_feat(x)
        if self.task == 'classification':
            return (self.model.head(maps), )
        logits = self.model.decode_head(maps)
        return (F.interpolate(logits, images.shape[2:], mode='bilinear',
                              align_corners=self.model.align_corners), )


def _replace_pools(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d) and \
                isinstance(child.output_size, int) and child.output_size > 1:
            setattr(module, name, AdaptivePool(child.output_size))
        else:
            _replace_pools(child)


def capture(pipeline: Pipeline, size: tuple[int, int] | None
            ) -> torch.export.ExportedProgram:
    """The graph of a network.

    Args:
        pipeline (Pipeline): The network.
        size (tuple[int, int], optional): Height and width in pixels that it
            is for; None for any from 49 to 4096.

    Returns:
        torch.export.ExportedProgram: Its graph, for any number of images.
    """
    shape: dict[int, torch.export.Dim] = {
        0: torch.export.Dim('batch', min=1, max=1024)}
    if size is None:
        shape |= {i: torch.export.Dim(name, min=MIN_SIDE, max=MAX_SIDE)
                  for i, name in ((2, 'height'), (3, 'width'))}
    example = torch.rand(2, 3, *(size or TRACED)) * 255
    with torch.no_grad():
        # Comparisons of sizes that the symbols leave open are checked when
        # the graph runs, not settled here for every size.
        return torch.export.export(
            pipeline, (example, ), dynamic_shapes={'images': shape},
            strict=False, prefer_deferred_runtime_asserts_over_guards=True)
