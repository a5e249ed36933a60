# Sourced by the scripts that start Python, not run: sets PYTHON to the
# interpreter of the project's environment or, where there is none, `python`,
# and makes the repository's package the one that is imported.
. "$(dirname -- "${BASH_SOURCE[0]}")/env_common.sh"
PYTHON=$MMVISION_VENV/bin/python
[ -x "$PYTHON" ] || PYTHON=python
export PYTHONPATH="$MMVISION_ROOT${PYTHONPATH:+:$PYTHONPATH}"
