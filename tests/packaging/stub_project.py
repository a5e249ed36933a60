"""A copy of the project's scripts on an interpreter that is a stub.

The stub answers like an interpreter and records every call, so that what a
script decides is seen in a second and nothing is downloaded.
"""
import os
import shutil
import subprocess
from pathlib import Path

# `$0 -m venv DIR` puts the stub into DIR; pip calls are recorded and fail on
# demand; everything else succeeds.
STUB = """#!/usr/bin/env bash
echo "$*" >>"$STUB_LOG"
case "$*" in
    *'import sys'*) echo "${STUB_VERSION:-3.11}" ;;
    --version) echo 'Python 3.11.0' ;;
    '-m venv '*)
        mkdir -p "$3/bin"
        touch "$3/pyvenv.cfg"
        cp "$0" "$3/bin/python"
        ;;
    '-m pip install '*)
        [ ! -e "$STUB_FAIL" ] || exit 1
        ;;
    '-c import cv2') exit "${STUB_CV2:-0}" ;;
    '-c import platform'*) echo 3.11.7 ;;
    '-m pytest '*) exit "${STUB_PYTEST:-0}" ;;
esac
"""


class Project:
    """A copy of the set-up in a folder with a space, on a stub Python."""

    def __init__(self, repo_root: Path, tmp_path: Path) -> None:
        self.root = tmp_path / 'a project'
        (self.root / 'mmvision_ext').mkdir(parents=True)
        for name in ('setup.py', 'mmvision_ext/version.py'):
            shutil.copy(repo_root / name, self.root / name)
        (self.root / 'tests').mkdir()
        shutil.copy(repo_root / 'tests/run.sh', self.root / 'tests/run.sh')
        for name in ('tools', 'requirements'):
            shutil.copytree(
                repo_root / name, self.root / name,
                ignore=shutil.ignore_patterns('__pycache__'))
        self.log = tmp_path / 'calls'
        self.fail = tmp_path / 'fail'
        self.stub = tmp_path / 'python stub'
        self.stub.write_text(STUB)
        self.stub.chmod(0o755)
        self.venv = self.root / '.venv'

    def start(self, *args: str, script: str = 'tools/setup_env.sh',
              **env: str) -> subprocess.Popen:
        self.log.write_text('')
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith('MMVISION_')}
        return subprocess.Popen(
            ['bash', str(self.root / script), *args],
            env={**kept, 'PYTHON': str(self.stub),
                 'STUB_LOG': str(self.log), 'STUB_FAIL': str(self.fail),
                 **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def setup(self, *args: str, **env: str) -> subprocess.CompletedProcess:
        process = self.start(*args, **env)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(
            process.args, process.returncode, out, err)

    def calls(self, prefix: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines()
                if line.startswith(prefix)]
