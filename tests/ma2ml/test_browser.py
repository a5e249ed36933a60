"""The report page and optuna-dashboard in a real browser.

    apt-get install chromium
    bash tests/run.sh tests/ma2ml/test_browser.py

Skipped where there is no Chromium (named by MMVISION_CHROMIUM or found on
the path).
"""
import json
import os
import re
import shutil
import subprocess
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import numpy as np
import optuna
import pytest
from PIL import Image

from mmvision_ext.ma2ml.report import write_report
from mmvision_ext.ma2ml.storage import open_storage

CHROMIUM = os.environ.get('MMVISION_CHROMIUM') or shutil.which(
    'chromium') or shutil.which('chromium-browser') or shutil.which(
    'google-chrome')
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason='needs Chromium (Debian: apt-get install '
    'chromium; elsewhere name it in MMVISION_CHROMIUM)')

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
         '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--hide-scrollbars']
# Asked of the page from within: what is wider than it, what has no size.
PROBE = """<script>addEventListener('load', () => {
  const box = e => e.getBoundingClientRect();
  const page = document.documentElement;
  const result = {
    wide: page.scrollWidth - page.clientWidth,
    charts: [...document.querySelectorAll('svg')].map(
      e => [box(e).width, box(e).height]),
    hover: document.querySelectorAll('svg title').length,
    background: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color};
  const out = document.createElement('pre');
  out.id = 'probe'; out.textContent = JSON.stringify(result);
  document.body.append(out);
});</script>"""


def browse(tmp_path, *arguments):
    """What Chromium prints."""
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f'--user-data-dir={tmp_path / "profile"}',
         *arguments], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


@pytest.fixture(scope='module')
def journal(tmp_path_factory):
    """A journal as the search keeps it, with twenty-four trials."""
    folder = tmp_path_factory.mktemp('study')
    storage, _ = open_storage(None, folder)
    study = optuna.create_study(storage=storage, study_name='shapes',
                                direction='maximize')
    study.set_user_attr('metric', 'accuracy/top1')
    study.set_user_attr('flops_limit', 5e6)
    rng = np.random.default_rng(0)
    for i in range(24):
        trial = study.ask()
        width = trial.suggest_categorical('nas.width', [8, 16, 24, 32])
        ops = trial.suggest_categorical('aug.num_ops', [0, 1, 2])
        lr = trial.suggest_categorical('hpo.lr', [1e-3, 1e-2, 1e-1])
        trial.set_user_attr('flops', width * 140000)
        trial.set_user_attr('seconds', 60.)
        trial.set_user_attr('ma2ml:credit', dict(
            aug=float(rng.normal()), nas=float(rng.normal()), hpo=0.5))
        if i % 9 == 4:
            trial.set_user_attr('failure', {
                'class': 'oom', 'message': 'out of memory'})
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, 60 + width + ops - 100 * lr)
    return folder, study


@pytest.mark.parametrize('width', [1100, 400])
@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
def test_report_in_a_browser(journal, tmp_path, width, dark):
    _, study = journal
    path = tmp_path / 'report.html'
    write_report(study, path)
    page = path.read_text('utf-8')
    if dark:
        page = page.replace('(prefers-color-scheme: dark)', 'screen')
    path.write_text(page.replace('</body>', PROBE + '</body>'), 'utf-8')
    picture = tmp_path / 'page.png'
    found = browse(tmp_path, f'--window-size={width},1200', '--dump-dom',
                   path.as_uri())
    probe = json.loads(re.search(
        r'id="probe">(.*?)</pre>', found, re.S)[1])
    # nothing sticks out, every chart is drawn, dots say what they are
    assert probe['wide'] <= 0
    assert len(probe['charts']) == 6
    assert all(w >= 520 and h > 15 for w, h in probe['charts'])
    assert probe['hover'] > 80
    light = [np.mean([int(n) for n in re.findall(r'\d+', probe[key])[:3]])
             for key in ('background', 'ink')]
    assert (light[0] < 50 < 200 < light[1]) if dark else (
        light[1] < 50 < 200 < light[0])

    if width == 1100:
        browse(tmp_path, f'--window-size={width},1200',
               f'--screenshot={picture}', path.as_uri())
        pixels = np.asarray(Image.open(picture).convert('RGB')).astype(int)
        assert pixels.shape == (1200, 1100, 3)
        # the accent of the line is there, on a page of one ground
        red = pixels[..., 0] - pixels[..., 2]
        assert (red[100:] > 120).sum() > 300
        ground = np.abs(pixels - pixels[-1, 2]).sum(-1) < 30
        assert 0.3 < ground.mean() < 0.97


class Quiet(WSGIRequestHandler):
    """No line a request."""

    def log_message(self, *args):
        pass


def test_dashboard_opens_the_storage(journal, tmp_path):
    dashboard = pytest.importorskip('optuna_dashboard')
    folder, _ = journal
    # as a user would: Optuna's own backend on our file
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(folder / 'study.log')))
    server = make_server('127.0.0.1', 0, dashboard.wsgi(storage),
                         handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        found = browse(
            tmp_path, '--dump-dom', '--virtual-time-budget=20000',
            f'http://127.0.0.1:{server.server_port}/dashboard/studies/0')
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert 'shapes' in found
    # 21 finished trials: drawn, not only named
    assert 'nas.width' in found and 'Best Trial' in found
