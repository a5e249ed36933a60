"""What the demo takes from people, and what its networks answer."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from mmvision_ext.demo import networks as demo_networks
from mmvision_ext.demo.draw import draw_heat, enlarge
from mmvision_ext.demo.images import MAX_BYTES, ImageRefused, read_image
from mmvision_ext.engine.errors import LaunchError


def encode(image, kind='PNG', **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(side):
    """A few bytes that call themselves a PNG of side x side pixels."""
    def chunk(name, data):
        return (struct.pack('>I', len(data)) + name + data +
                struct.pack('>I', zlib.crc32(name + data)))
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) +
            chunk(b'IDAT', zlib.compress(b'\0' * 100)) + chunk(b'IEND', b''))


def test_images_are_read_upright_and_shrunk():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15] = 255
    assert np.array_equal(read_image(encode(image)), image)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    assert read_image(encode(image, 'JPEG', exif=exif)).shape == (30, 20, 3)
    assert read_image(encode(np.zeros((500, 2048, 3), np.uint8))).shape == (
        250, 1024, 3)


@pytest.mark.parametrize('content,message', [
    (b'some text', 'no image'),
    (b'', 'no image'),
    (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'no image'),
    (bomb(8000), '50 million'),
    (bomb(60000), 'too many pixels'),
    (bomb(100), 'damaged'),
    (b'\0' * (MAX_BYTES + 1), '20 MB'),
    (encode(np.zeros((4, 90, 3), np.uint8)), '8 or more'),
    (encode(np.zeros((4, 4, 3), np.uint8), 'GIF'), 'no image'),
])
def test_what_is_refused(content, message):
    with pytest.raises(ImageRefused, match=message):
        read_image(content)


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    from mmvision_ext.engine.shipped import shipped_root
    from mmvision_ext.engine.trained import _build
    config = shipped_root() / 'configs/quickstart/vheat-nano_toy_cls.py'
    from mmengine.config import Config

    from mmvision_ext.engine.checks import register_scope
    register_scope('mmpretrain')
    torch.manual_seed(0)
    model = _build(Config.fromfile(str(config)), str(config))
    weights = tmp_path_factory.mktemp('demo') / 'w.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    return str(config), str(weights)


@pytest.mark.smoke
def test_a_classifier_answers_as_its_network(classifier):
    network = demo_networks.load_network('classifier', *classifier)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    scores = network.predict(image).pred_score
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])
    # (H, W, 3) -> (1, 3, H, W)
    x = ((torch.from_numpy(image).float() - mean) / std).permute(2, 0, 1)
    with torch.no_grad():
        logits = network.model.head(network.model.extract_feat(x[None]))
    assert torch.allclose(scores, logits[0].softmax(0), atol=1e-6)
    assert [network.class_name(i) for i in (0, 5, 6)] == [
        'disk', 'bar', 'class 6']
    heat = network.heat(image)
    assert heat.shape == (len(demo_networks.TIMES), 16, 16)
    # heat levels out
    assert heat[-1].std() < heat[0].std()
    assert draw_heat(heat, 3).shape == (384, 384, 3)


def test_mistakes_are_told(classifier, tmp_path):
    with pytest.raises(LaunchError, match='no roi_head'):
        demo_networks.load_network('detector', *classifier)
    with pytest.raises(LaunchError, match='tools/quickstart.sh'):
        demo_networks.quickstart_networks(tmp_path)


def test_small_images_are_enlarged_by_whole_pixels():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    large = enlarge(image, 5)
    assert large.shape == (6, 6, 3)
    assert np.array_equal(large[::3, ::3], image)
