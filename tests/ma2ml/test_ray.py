"""Trials on a real Ray cluster of several nodes, all on this machine."""
import json
from pathlib import Path

import pytest

ray = pytest.importorskip(
    'ray', reason='needs Ray, which is large: bash tests/run_ray.sh installs '
    'it and runs this')

from ray.cluster_utils import Cluster  # noqa: E402

from mmvision_ext.ma2ml.executors import build_executor  # noqa: E402
from mmvision_ext.ma2ml.processes import process_start  # noqa: E402
from mmvision_ext.ma2ml.progress import Silent  # noqa: E402

# Dies with its worker, as trials do; waits for the file 'go'; ends well.
_SCRIPT = """
import ctypes, json, os, sys, time
ctypes.CDLL(None).prctl(1, 9)
folder = sys.argv[1]
open(folder + '/begun', 'w').close()
while not os.path.exists(folder + '/../../go'):
    time.sleep(0.02)
json.dump(dict(state='complete', value=1.), open(folder + '/r', 'w'))
os.rename(folder + '/r', folder + '/result.json')
"""


@pytest.fixture
def cluster():
    """A head without room for trials, and two nodes for one each."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args=dict(num_cpus=0, include_dashboard=False))
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        stat = Path(f'/proc/{pid}/stat').read_bytes()
        pid = int(stat.rpartition(b')')[2].split()[1])
        found.append(pid)
    return found


class Killer(Silent):
    """Kills the node of the first trial when both nodes are at work."""

    def __init__(self, cluster, folder):
        self.cluster = cluster
        self.folder = folder
        self.lines = []
        self.victim = None

    def line(self, text):
        self.lines.append(text)

    def tick(self, study, running):
        if self.victim and process_start(self.victim) is None:
            # What remains may end now, and not before.
            (self.folder / 'go').touch()
        begun = sorted(self.folder.glob('trials/*/begun'))
        if self.victim or len(begun) < 2:
            return
        state = json.loads((begun[0].parent / 'process.json').read_text())
        self.victim = state['pid']
        above = ancestors(self.victim)
        for node in list(self.cluster.worker_nodes):
            raylet = node.all_processes['raylet'][0].process.pid
            if raylet in above:
                self.cluster.remove_node(node, allow_graceful=False)
        assert len(self.cluster.worker_nodes) == 1


def test_a_node_that_dies_costs_an_attempt_and_no_trial(
        cluster, tmp_path, settings, make_search, script_evaluator):
    watcher = Killer(cluster, tmp_path)
    found = make_search(
        tmp_path, settings, script_evaluator(_SCRIPT),
        build_executor('ray', 2), watcher, trials=4, workers=2)
    found.search.run()
    trials = found.study.get_trials()
    assert [t.state.name for t in trials] == ['COMPLETE'] * 4
    attempts = {t.number: t.user_attrs['attempts'] for t in trials
                if 'attempts' in t.user_attrs}
    assert list(attempts) == [0]
    first, = attempts[0]
    assert first['class'] == 'killed'
    # Ray's own name of what happened is kept.
    assert first['message'].startswith(('NodeDied', 'WorkerCrashed'))
    assert any('trial 0: killed' in line for line in watcher.lines)
