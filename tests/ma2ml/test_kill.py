"""Nothing that finished is lost, whatever ends the searching process."""
import errno
import json
import os
import resource
import signal

import numpy as np
import pytest

from mmvision_ext.ma2ml import storage as storage_module
from mmvision_ext.ma2ml.errors import SearchError
from mmvision_ext.ma2ml.evaluators import build_evaluator
from mmvision_ext.ma2ml.storage import SafeJournalBackend, mend_journal
from mmvision_ext.ma2ml.trial_files import TrialFolder


def record(study):
    """All that is to be the same: candidates and rewards, in order."""
    return [(t.number, t.state.name, t.params, t.values)
            for t in study.get_trials(deepcopy=False)]


def die_at(append: int, how: str) -> None:
    """Kill this process at an append to the journal: before, half, after."""
    write = SafeJournalBackend._write
    count = [0]

    def deadly(file, data, end):
        count[0] += 1
        if count[0] < append:
            return write(file, data, end)
        if how == 'half':
            file.seek(end)
            file.write(data[:len(data) // 2])
        elif how == 'after':
            write(file, data, end)
        os.kill(os.getpid(), signal.SIGKILL)

    SafeJournalBackend._write = staticmethod(deadly)


def kill_again_and_again(tmp_path, run, fork, moments, seed):
    """Run a search with so many kills, then to its end."""
    rng = np.random.default_rng(seed)
    finished = {}
    for moment in range(moments):
        append, how = int(rng.integers(4, 40)), rng.choice(
            ['before', 'half', 'after'])

        def body(append=append, how=how):
            die_at(append, how)
            run(tmp_path / 'killed')

        status = fork(body)
        assert status == -signal.SIGKILL, f'kill {moment}: {status}'
        found = {
            path.parent.name: path.read_text()
            for path in (tmp_path / 'killed').glob('trials/*/result.json')}
        # What finished before is there, and is the very same.
        assert finished.items() <= found.items()
        finished = found
    return finished


@pytest.mark.parametrize('workers, sampler', [(1, 'tpe'), (2, 'ma2ml')])
def test_a_search_killed_again_and_again_ends_as_if_it_had_not_been(
        workers, sampler, tmp_path, settings, make_search, script_evaluator,
        fork):
    """Ten kills each, twenty in all, at seeded moments."""

    def run(folder):
        found = make_search(
            folder, settings, script_evaluator() if workers > 1 else None,
            trials=28, workers=workers, deterministic=True,
            sampler=dict(name=sampler))
        found.search.run()
        return found.study

    expected = record(run(tmp_path / 'whole'))
    kill_again_and_again(tmp_path, run, fork, 10, seed=workers)
    study = run(tmp_path / 'killed')
    assert record(study) == expected
    assert [row[1] for row in expected] == ['COMPLETE'] * 28
    assert study.best_value == pytest.approx(-0.12)
    # A finished attempt was never followed by another.
    again = [json.loads(path.read_text()) for path in
             (tmp_path / 'killed').glob('trials/*/result.json.attempt*')]
    assert again == []


def test_a_journal_cut_off_anywhere_is_recovered(
        tmp_path, settings, make_search, fork):
    """Told trials that the journal lost come back from their folders."""
    assert fork(lambda: make_search(tmp_path, settings).search.run()) == 0
    expected = record(make_search(tmp_path, settings).study)
    assert len(expected) == 8
    journal = tmp_path / 'study.log'
    whole = journal.read_bytes()
    for share in (0.5, 0.8, 0.97):
        length = int(share * len(whole))
        journal.write_bytes(whole[:length])

        def body(length=length):
            again = make_search(tmp_path, settings, Refusing(settings))
            assert len(again.lines) == (journal.stat().st_size != length)
            again.search.run()
            assert record(again.study) == expected

        assert fork(body) == 0


class Refusing:
    """Stands for the table, and evaluates nothing."""

    inline = True

    def __init__(self, settings):
        self.cost = build_evaluator(settings['evaluator']).cost

    def evaluate(self, spec, values, seed):
        raise AssertionError(f'{values} is evaluated a second time')


def test_a_record_cut_off_at_the_end_is_taken_off(tmp_path):
    journal = tmp_path / 'study.log'
    journal.write_bytes(b'{"op_code":0}\n{"op_code":1}\n{"op_c')
    assert '6 bytes' in mend_journal(journal)
    assert journal.read_bytes() == b'{"op_code":0}\n{"op_code":1}\n'
    assert mend_journal(journal) is None


def test_damage_in_the_middle_is_refused_with_what_to_do(
        tmp_path, settings, make_search, fork):
    assert fork(lambda: make_search(tmp_path, settings).search.run()) == 0
    journal = tmp_path / 'study.log'
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[20] = lines[20][:7] + b'\n'
    journal.write_bytes(b''.join(lines))
    with pytest.raises(SearchError) as caught:
        make_search(tmp_path, settings)
    assert f'record 21 (byte {len(b"".join(lines[:20]))})' in str(
        caught.value)
    assert f'head -n 20 {journal}.damaged' in str(caught.value)
    # What it says to do works, and nothing is evaluated again.
    journal.write_bytes(b''.join(lines[:20]))
    again = make_search(tmp_path, settings, Refusing(settings))
    again.search.run()
    assert len(again.study.trials) == 8


def test_a_full_disk_ends_the_search_and_spoils_nothing(
        tmp_path, settings, make_search, fork):
    """The journal stands at a limit of the file size, as at a quota."""
    make_search(tmp_path, settings, trials=3).search.run()
    journal = tmp_path / 'study.log'
    size = journal.stat().st_size

    def body():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        found = make_search(tmp_path, settings)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1500,) * 2)
        with pytest.raises(OSError) as caught:
            found.search.run()
        assert caught.value.errno == errno.EFBIG

    assert fork(body) == 0
    # Whole records alone, though the limit cut the last one in two.
    assert size < journal.stat().st_size <= size + 1500
    assert mend_journal(journal) is None
    again = make_search(tmp_path, settings)
    again.search.run()
    whole = make_search(tmp_path / 'whole', settings)
    whole.search.run()
    assert record(again.study) == record(whole.study)


def test_a_full_disk_in_a_trial_ends_the_search(
        tmp_path, settings, make_search, script_evaluator):
    script = 'raise OSError(28, "No space left on device")'
    found = make_search(tmp_path, settings, script_evaluator(script))
    with pytest.raises(SearchError, match='the disk is full'):
        found.search.run()
    # The trial is nobody's fault and goes on later.
    trial, = found.study.get_trials()
    assert trial.state.name == 'RUNNING'
    again = make_search(tmp_path, settings, script_evaluator())
    again.search.run()
    assert {t.state.name for t in again.study.get_trials()} == {'COMPLETE'}


def test_the_lock_of_a_dead_process_is_not_waited_for(
        tmp_path, fork, monkeypatch):
    path = tmp_path / 'study.log'
    backend = SafeJournalBackend(str(path))
    backend.append_logs([{'op_code': 0}])

    def body():
        backend._own_lock.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    assert fork(body) == -signal.SIGKILL
    assert os.path.islink(f'{path}.lock')
    # Whoever waits sleeps; nobody has to here.
    monkeypatch.setattr('time.sleep', lambda s: pytest.fail('waits'))
    backend.append_logs([{'op_code': 1}])
    assert [one['op_code'] for one in backend.read_logs(0)] == [0, 1]
    assert not os.path.islink(f'{path}.lock')


def test_a_trial_whose_folder_is_of_another_candidate_is_put_aside(tmp_path):
    folder = TrialFolder(tmp_path / '00000')
    folder.open(dict(values={'a.x': 1}, seed=1))
    folder.write_result(state='complete', value=1.)
    folder.open(dict(values={'a.x': 2}, seed=1))
    assert folder.result() is None
    old = TrialFolder(tmp_path / '00000.old1')
    assert old.result()['value'] == 1.


def test_passwords_stay_out_of_messages():
    url = 'postgresql://me:secret@host/db'
    assert storage_module.hide_password(url) == \
        'postgresql://me:***@host/db'
    assert storage_module.hide_password('sqlite:///a.db') == 'sqlite:///a.db'
