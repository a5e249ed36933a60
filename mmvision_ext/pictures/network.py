"""Networks and images that pictures are made of."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ..compat.checkpoint import safe_load
from ..engine.checks import check_checkpoint, check_weights, register_scope
from ..engine.errors import LaunchError
from ..engine.quiet import quiet

#: Of ImageNet, for a backbone that comes without a preprocessor.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
_PICTURES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff',
             '.ppm')


@dataclass
class Network:
    """A network in eval mode, and where its weights are from.

    Args:
        name (str): For people.
        module (nn.Module): A whole model or a backbone.
        weights (str): Name of the file of its weights; '' if random.
        config (Any): The mmengine config that it is built from, if any.
    """
    name: str
    module: nn.Module
    weights: str = ''
    config: Any = None

    @property
    def backbone(self) -> nn.Module:
        """The backbone, the module itself if that is one."""
        return getattr(self.module, 'backbone', self.module)

    @property
    def about(self) -> str:
        """Which network with which weights, in a line."""
        origin = f'weights of {self.weights}' if self.weights else \
            'RANDOM WEIGHTS, nothing is learnt'
        return f'{self.name}, {origin}'

    def require(self, kind: type, picture: str, what: str) -> Any:
        """The backbone, if it is of the kind that a picture is of.

        Args:
            kind (type): Its class.
            picture (str): Name of the picture.
            what (str): The kind, for people.

        Returns:
            Any: The backbone.

        Raises:
            LaunchError: If it is of another kind.
        """
        if not isinstance(self.backbone, kind):
            raise LaunchError(
                f'{self.name} has the backbone '
                f'{type(self.backbone).__name__}; the picture {picture!r} is '
                f'of {what}')
        return self.backbone


def load_network(source: str,
                 checkpoint: str | None = None,
                 options: dict[str, Any] | None = None,
                 data_root: str | None = None) -> Network:
    """Build a network and load its weights.

    Args:
        source (str): A config; a file of converted weights, which says what
            to build; or a short name such as 'vheat-tiny', see
            :func:`short_names`.
        checkpoint (str, optional): Weights for a config or a short name.
            Without, they are random, from seed 0.
        options (dict[str, Any], optional): Settings to change in the config.
        data_root (str, optional): Replaces that of the config.

    Returns:
        Network: On the CPU, in eval mode.

    Raises:
        LaunchError: If there is no such network or the weights do not fit.
        CheckpointError: If a file cannot or must not be read.
    """
    torch.manual_seed(0)
    with quiet():
        network = _build(source, checkpoint, options or {}, data_root)
    # Not chained: mmpretrain's Swin returns None from train().
    network.module.eval()
    network.module.requires_grad_(False)
    return network


def _build(source: str, checkpoint: str | None, options: dict[str, Any],
           data_root: str | None) -> Network:
    if source.endswith(('.py', '.json', '.yaml', '.yml')):
        return _from_config(source, checkpoint, options, data_root)
    if options:
        raise LaunchError(f'--cfg-options needs a config; {source} is none')
    if Path(source).suffix or Path(source).is_file():
        if checkpoint:
            raise LaunchError(f'{source} is a file of weights already; '
                              '--checkpoint goes with a config')
        return _from_weights(source)
    network = Network(source, _from_name(source))
    if checkpoint:
        _load(network, checkpoint)
    return network


def _from_config(source: str, checkpoint: str | None,
                 options: dict[str, Any],
                 data_root: str | None) -> Network:
    from mmengine.registry import MODELS, DefaultScope

    from ..engine.data_root import replace_data_root
    from ..engine.launch import read_config
    from ..engine.options import merge_options
    cfg = read_config(source)
    if data_root:
        replace_data_root(cfg, data_root)
    merge_options(cfg, options)
    if cfg.get('model') is None:
        raise LaunchError(f'config {source} has no model')
    scope = cfg.get('default_scope') or 'mmengine'
    register_scope(scope)
    with DefaultScope.overwrite_default_scope(scope):
        # mmpretrain's runner hands the preprocessor's settings over; build
        # as it does. What a network starts to train from is not needed.
        settings = cfg.model.copy()
        if cfg.get('data_preprocessor'):
            settings.setdefault('data_preprocessor', cfg.data_preprocessor)
        module = MODELS.build(settings)
        if not checkpoint:
            check_weights(cfg)
            # Torch's own first values are not those of the networks.
            module.init_weights()
    loads = not checkpoint and "'Pretrained'" in str(cfg.model)
    network = Network(Path(source).stem, module,
                      'its init_cfg' if loads else '', cfg)
    if checkpoint:
        _load(network, checkpoint)
    return network


def _from_weights(source: str) -> Network:
    from ..apis import load_model
    check_checkpoint('MODEL', source)
    try:
        module = load_model(source)
    except (RuntimeError, ImportError) as error:
        raise LaunchError(f'{error}') from error
    return Network(Path(source).stem, module, Path(source).name)


def short_names() -> list[str]:
    """Names of backbones: ours, and Swin, ConvNeXt and ResNet of mmpretrain.

    Returns:
        list[str]: They stand for a backbone with random weights.
    """
    from ..itpn import ARCH_ZOO as ITPN_ZOO
    from ..itpn import FAST_ARCH_ZOO
    from ..vheat import ARCH_ZOO as VHEAT_ZOO
    peers = [f'{name}-{arch}' for name in ('swin', 'convnext')
             for arch in ('tiny', 'small', 'base')]
    return [f'{name}-{arch}' for name, zoo in (
        ('vheat', VHEAT_ZOO), ('itpn', ITPN_ZOO),
        ('fast-itpn', FAST_ARCH_ZOO)) for arch in zoo] + peers + ['resnet-50']


def _from_name(name: str) -> nn.Module:
    if name not in short_names():
        raise LaunchError(f'{name}: expected a config (.py), converted '
                          f'weights (.pth) or one of '
                          f'{", ".join(short_names())}')
    from ..engine.build import build_model
    family, _, arch = name.rpartition('-')
    settings = {
        'vheat': dict(type='mmvision_ext.VHeat', arch=arch),
        'itpn': dict(type='mmvision_ext.ITPN', arch=arch),
        'fast-itpn': dict(type='mmvision_ext.FastITPN', arch=arch),
        'swin': dict(type='mmpretrain.SwinTransformer', arch=arch),
        'convnext': dict(type='mmpretrain.ConvNeXt', arch=arch,
                         gap_before_final_norm=False),
        'resnet': dict(type='mmpretrain.ResNet', depth=50),
    }[family]
    try:
        module = build_model(settings)
    except ImportError as error:
        raise LaunchError(f'{name}: {error}') from error
    module.init_weights()
    return module


def _load(network: Network, checkpoint: str) -> None:
    check_checkpoint('--checkpoint', checkpoint)
    content = safe_load(checkpoint)
    state = content.get('state_dict', content) if isinstance(
        content, dict) else {}
    module = network.module
    if not hasattr(module, 'backbone'):
        own = {name[9:]: value for name, value in state.items()
               if name.startswith('backbone.')}
        state = own or state
    try:
        module.load_state_dict(state, strict=True)
    except (RuntimeError, ValueError) as error:
        text = ' '.join(str(error).split())
        text = text if len(text) < 400 else f'{text[:400]}...'
        raise LaunchError(f'{checkpoint} does not fit {network.name}: '
                          f'{text}') from error
    network.weights = Path(checkpoint).name


def read_image(path: str | Path, size: int | None = None,
               square: bool = False) -> np.ndarray:
    """Read an image.

    Args:
        path (str | Path): The file.
        size (int, optional): Pixels of the longer side, or of both of a
            square. Defaults to as it is.
        square (bool): Cut out the middle. Defaults to False.

    Returns:
        np.ndarray: Shape (H, W, 3), RGB, uint8.

    Raises:
        LaunchError: If there is no such file or it is no image.
    """
    if not Path(path).is_file():
        raise LaunchError(f'image {path} does not exist')
    try:
        with Image.open(path) as file:
            # As mmcv reads it: turned as the camera says.
            image = ImageOps.exif_transpose(file).convert('RGB')
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise LaunchError(f'image {path} cannot be read: {error}') from error
    if size is not None and not 16 <= size <= 4096:
        raise LaunchError(f'--size {size}: expected 16 to 4096 pixels')
    if square:
        side = size or min(image.size)
        image = ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)
    elif size is not None:
        scale = size / max(image.size)
        image = image.resize(
            tuple(max(round(side * scale), 1) for side in image.size),
            Image.Resampling.BICUBIC)
    return np.asarray(image)


def find_images(places: Sequence[str], count: int) -> list[Path]:
    """Images among files and folders.

    Args:
        places (Sequence[str]): Files, and folders that are searched with
            their subfolders.
        count (int): At most so many, evenly spread over those there are.

    Returns:
        list[Path]: One or more.

    Raises:
        LaunchError: If a place does not exist or holds no image, or
            ``count`` is less than 1.
    """
    if count < 1:
        raise LaunchError(f'--count {count}: expected at least 1')
    found: list[Path] = []
    for place in map(Path, places):
        if not place.exists():
            raise LaunchError(f'image {place} does not exist')
        own = [place] if place.is_file() else sorted(
            path for path in place.rglob('*')
            if path.suffix.lower() in _PICTURES)
        if not own:
            raise LaunchError(f'{place} holds no image '
                              f'({", ".join(_PICTURES)})')
        found += own
    step = max(len(found) / count, 1)
    return [found[int(i * step)] for i in range(min(count, len(found)))]


def normalise(network: Network, image: np.ndarray) -> Tensor:
    """An image as the network takes it.

    Args:
        network (Network): Its preprocessor says how; without one, the mean
            and deviation of ImageNet.
        image (np.ndarray): Shape (H, W, 3), RGB, uint8.

    Returns:
        Tensor: Shape (1, 3, H, W), not padded.
    """
    # (H, W, 3) -> (1, 3, H, W)
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    preprocessor = getattr(network.module, 'data_preprocessor', None)
    if preprocessor is None:
        mean, std = torch.tensor(_MEAN), torch.tensor(_STD)
    else:
        # Pipelines load BGR, which the libraries turn round under one of
        # these names.
        if not any(getattr(preprocessor, name, False) for name in
                   ('to_rgb', '_channel_conversion', 'channel_conversion')):
            x = x.flip(1)
        mean = getattr(preprocessor, 'mean', None)
        std = getattr(preprocessor, 'std', None)
    if mean is None:
        return x
    # (3,) -> (3, 1, 1)
    return (x - mean.reshape(-1, 1, 1)) / std.reshape(-1, 1, 1)


def check_point(point: tuple[float, float] | None,
                image: np.ndarray) -> tuple[float, float]:
    """A point of an image, its middle by default.

    Args:
        point (tuple[float, float], optional): x and y in pixels.
        image (np.ndarray): Shape (H, W, 3).

    Returns:
        tuple[float, float]: x and y.

    Raises:
        LaunchError: If the point is outside.
    """
    height, width = image.shape[:2]
    if point is None:
        return width / 2, height / 2
    x, y = point
    if not (0 <= x < width and 0 <= y < height):
        raise LaunchError(f'--point {x:g},{y:g} is outside the image of '
                          f'{width} x {height} pixels; x and y count from 0 '
                          'at the upper left')
    return x, y
