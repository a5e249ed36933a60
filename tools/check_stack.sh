#!/usr/bin/env bash
# Runs the whole suite on a stack, in an environment made for it alone.
#
#     bash tools/check_stack.sh onedl
#     bash tools/check_stack.sh openmmlab tests/vheat -k decay
#     PYTHON=python3.12 bash tools/check_stack.sh --keep DIR onedl -m smoke
#
# usage: check_stack.sh [--keep DIR] onedl|openmmlab [arguments of pytest]
#
# The environment comes from requirements/STACK.txt (6 GB of disk, some
# minutes) and goes away at the end. With --keep it is made in DIR and stays;
# a further call with DIR brings it up to date and uses it again.
#
# PYTHON                 the interpreter to build it with (3.10, 3.11 or 3.12)
# TMPDIR                 where the environment goes without --keep
# MMVISION_TEST_WORKERS  processes to run the tests in (default 2)
#
# Exit codes: that of pytest; 2 for arguments that make no sense; 3 if the
# environment could not be made; 130 after Ctrl-C.
set -euo pipefail

usage() {
    awk 'NR > 1 && !/^#/ {exit} NR > 1 {sub(/^# ?/, ""); print}' "$0"
}

refuse() {
    echo "error: $*" >&2
    echo "usage: check_stack.sh [--keep DIR] onedl|openmmlab" \
        "[arguments of pytest]; --help tells more" >&2
    exit 2
}

keep=''
while [ "$#" -gt 0 ]; do
    case "$1" in
        -h | --help)
            usage
            exit 0
            ;;
        --keep)
            [ -n "${2:-}" ] || refuse "--keep needs a folder"
            keep=$2
            shift 2
            ;;
        -*) refuse "unknown option '$1'; those of pytest follow the stack" ;;
        *) break ;;
    esac
done
[ "$#" -gt 0 ] || refuse "no stack is given"
case "$1" in
    onedl | openmmlab) export MMVISION_STACK=$1 ;;
    *) refuse "the stack is '$1'; expected onedl or openmmlab" ;;
esac
shift
# Without arguments tests/run.sh takes the smoke part of the second stack.
[ "$#" -gt 0 ] || set -- tests

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ -n "$keep" ]; then
    export MMVISION_VENV=$keep
else
    folder=$(mktemp -d)
    trap 'rm -rf -- "$folder"' EXIT
    trap 'exit 130' INT TERM
    export MMVISION_VENV=$folder/venv
fi
bash "$root/tools/setup_env.sh" || {
    echo "error: no environment for $MMVISION_STACK; see above" >&2
    exit 3
}
status=0
bash "$root/tests/run.sh" "$@" || status=$?
python=$("$MMVISION_VENV/bin/python" -c \
    'import platform; print(platform.python_version())')
echo "stack $MMVISION_STACK, Python $python, $(date +%F): pytest $*:" \
    "exit code $status"
exit "$status"
