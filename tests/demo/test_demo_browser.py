"""The demo in a real browser.

Skipped where there is no Chromium (named by MMVISION_CHROMIUM or found on
the path).
"""
import os
import shutil
import socket

import numpy as np
import pytest
import torch
from PIL import Image

CHROMIUM = os.environ.get('MMVISION_CHROMIUM') or shutil.which(
    'chromium') or shutil.which('chromium-browser') or shutil.which(
    'google-chrome')
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='needs Chromium (Debian: apt-get install '
    'chromium; elsewhere name it in MMVISION_CHROMIUM)')
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic',
         '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync']
INPUT = '#upload input[type=file]'


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """The demo of a classifier, served."""
    from mmengine.config import Config

    from mmvision_ext.demo import launch_demo, load_network
    from mmvision_ext.engine.checks import register_scope
    from mmvision_ext.engine.shipped import shipped_root
    from mmvision_ext.engine.trained import _build
    config = str(shipped_root() / 'configs/quickstart/vheat-nano_toy_cls.py')
    register_scope('mmpretrain')
    weights = tmp_path_factory.mktemp('demo') / 'w.pth'
    model = _build(Config.fromfile(config), config)
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    page = launch_demo([load_network('classifier', config, str(weights))],
                       port, wait=False)
    yield f'http://127.0.0.1:{port}'
    page.close()


@pytest.fixture(scope='module')
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as api:
        chromium = api.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def test_a_wrong_file_then_an_image(address, browser, tmp_path):
    page = browser.new_page(viewport=dict(width=1280, height=900))
    asked = []
    page.on('request', lambda request: asked.append(request.url))
    page.goto(address)
    fake, real, large = (tmp_path / name for name in (
        'fake.png', 'real.png', 'large.png'))
    fake.write_text('some text')
    page.set_input_files(INPUT, str(fake))
    page.get_by_text('This file is no image').wait_for()
    page.get_by_label('Remove').or_(page.get_by_label('Clear')).first.click()
    Image.new('L', (9000, 8000)).save(large)
    page.set_input_files(INPUT, str(large))
    page.get_by_text('at most 50 million').wait_for()
    page.get_by_label('Remove').or_(page.get_by_label('Clear')).first.click()
    # the server lives on
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(real)
    page.set_input_files(INPUT, str(real))
    page.locator('[data-testid=label-output-value], .output-class').wait_for()
    page.get_by_text('Heat at time 0').wait_for()
    page.locator('#time input[type=range]').fill('3')
    page.get_by_text('Heat at time 3', exact=True).wait_for()
    assert asked and all(url.startswith((address, 'data:', 'blob:'))
                         for url in asked)


@pytest.mark.parametrize('width,scheme', [(390, 'light'), (1280, 'dark')])
def test_narrow_and_dark(address, browser, width, scheme):
    page = browser.new_page(viewport=dict(width=width, height=844),
                            color_scheme=scheme)
    page.goto(address)
    page.locator(INPUT).wait_for(state='attached')
    wide, ink = page.evaluate(
        '[document.documentElement.scrollWidth - innerWidth, '
        'getComputedStyle(document.querySelector("h1")).color]')
    assert wide <= 0
    light = np.mean([int(v) for v in ink.strip('rgb()').split(',')[:3]])
    assert (light > 128) == (scheme == 'dark')
