#!/usr/bin/env bash
# Makes the virtual environment of a stack, with this package in it (editable).
# Nothing is compiled. Safe to call again at any time: a call that finds
# everything in place takes a second, and one that failed or was interrupted
# is repaired by the next.
#
#     bash tools/setup_env.sh                            # .venv
#     MMVISION_STACK=openmmlab bash tools/setup_env.sh   # .venv-openmmlab
#
# MMVISION_VENV  another place for the environment
# PYTHON         the interpreter to build it with (3.10, 3.11 or 3.12)
set -euo pipefail

if [ "$#" -gt 0 ]; then
    # Print the header above, whatever the argument was.
    awk 'NR > 1 && !/^#/ {exit} NR > 1 {sub(/^# ?/, ""); print}' "$0"
    case "$1" in -h | --help) exit 0 ;; esac
    echo "error: unknown argument '$1'; choices are made by variables" >&2
    exit 2
fi

# shellcheck source=tools/env_common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/env_common.sh"
unset PYTHONHOME PYTHONPATH
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

constraints=$MMVISION_ROOT/requirements/$MMVISION_STACK.txt
venv_python=$MMVISION_VENV/bin/python
stamp=$MMVISION_VENV/.mmvision_stamp
unfinished=$MMVISION_VENV/.mmvision_unfinished

say() { echo "[setup $MMVISION_STACK] $*"; }

die() {
    echo "[setup $MMVISION_STACK] error: $*" >&2
    exit 1
}

# Prints 3.11 or the like, if the interpreter runs and is one we support.
supported_version() {
    "$1" -c 'import sys
v = sys.version_info[:2]
sys.exit(1) if not (3, 10) <= v <= (3, 12) else print("%d.%d" % v)' \
        2>/dev/null
}

# Prints the interpreter to build with.
find_python() {
    local candidate found=''
    if [ -n "${PYTHON:-}" ]; then
        supported_version "$PYTHON" >/dev/null || die "PYTHON is" \
            "'$PYTHON', which does not run or is not Python 3.10, 3.11" \
            "or 3.12"
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3.10 python3 python; do
        supported_version "$candidate" >/dev/null || continue
        found=$candidate
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null || continue
        echo "$candidate"
        return
    done
    [ -z "$found" ] || die "$found cannot make virtual environments (no" \
        "module ensurepip); on Debian and Ubuntu: apt-get install" \
        "$(basename "$found")-venv"
    die "no Python 3.10, 3.11 or 3.12 among python3.11, python3.12," \
        "python3.10, python3 and python; install one, or name it:" \
        "PYTHON=/the/python bash tools/setup_env.sh"
}

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

# A digest of all that decides what the environment holds.
fingerprint() {
    {
        echo "$MMVISION_STACK $MMVISION_ROOT $MMVISION_VENV"
        supported_version "$venv_python"
        cat "$constraints" "$MMVISION_ROOT/setup.py" \
            "$MMVISION_ROOT/mmvision_ext/version.py" \
            "$MMVISION_ROOT/tools/setup_env.sh" \
            "$MMVISION_ROOT/tools/mmvision_ext_mmcv.pth"
    } | checksum | cut -d' ' -f1
}

# Whether the environment has to be made anew; says why.
must_rebuild() {
    [ -e "$MMVISION_VENV" ] || return 1
    if [ -e "$unfinished" ]; then
        say 'an earlier set-up did not finish; starting over'
    elif ! "$venv_python" -c 'import pip' 2>/dev/null; then
        say 'the environment is broken; making it anew'
    elif ! supported_version "$venv_python" >/dev/null; then
        say 'the environment has another Python; making it anew'
    elif [ -n "${PYTHON:-}" ] && [ "$(supported_version "$PYTHON")" != \
        "$(supported_version "$venv_python")" ]; then
        say 'PYTHON asks for another version; making the environment anew'
    elif ! "$venv_python" "$MMVISION_ROOT/tools/check_env.py" --mixed \
        "$constraints"; then
        say 'the environment holds both stacks; making it anew'
    else
        return 1
    fi
}

make_venv() {
    local python
    if [ -e "$MMVISION_VENV" ]; then
        # Only ever delete what is a virtual environment.
        [ -f "$MMVISION_VENV/pyvenv.cfg" ] || [ -e "$unfinished" ] ||
            [ -z "$(ls -A -- "$MMVISION_VENV")" ] ||
            die "$MMVISION_VENV exists and is no virtual environment;" \
                "move it away or set MMVISION_VENV"
        rm -rf -- "$MMVISION_VENV"
    fi
    python=$(find_python)
    say "making $MMVISION_VENV with $("$python" --version)"
    mkdir -p -- "$MMVISION_VENV"
    touch -- "$unfinished"
    "$python" -m venv "$MMVISION_VENV" ||
        die "'$python -m venv' failed; its message is above"
}

pip_install() {
    "$venv_python" -m pip install -qq --constraint "$constraints" "$@" ||
        die 'pip could not install the packages; its message is above.' \
            'Check the network and the free disk space (6 GB), then call' \
            'this script again: it starts where pip left its downloads'
}

install_all() {
    say "installing the packages (some minutes, once)"
    pip_install --upgrade pip setuptools wheel
    # The packages without a wheel are built in isolation: there onedl-mmcv
    # finds no torch and leaves its compiled part out.
    (cd -- "$MMVISION_ROOT" &&
        pip_install --build-constraint "$constraints" \
            --editable ".[$MMVISION_STACK,dev]")
    if ! "$venv_python" -c 'import cv2' 2>/dev/null; then
        say 'opencv-python needs libGL, which is missing here; putting the' \
            'headless build in its place'
        pip_install --force-reinstall --no-deps opencv-python-headless
    fi
}

# mmdet imports mmcv's compiled part before it reads a config that could name
# this package. The line only adds one look-up at the end of the import path:
# whoever asks for mmcv._ext, and is answered by nobody else, gets ours.
wake_on_mmcv_ops() {
    local place
    place=$MMVISION_VENV/lib/python$(supported_version "$venv_python")
    place+=/site-packages
    mkdir -p -- "$place"
    cp -- "$MMVISION_ROOT/tools/mmvision_ext_mmcv.pth" "$place"
}

verify() {
    "$venv_python" "$MMVISION_ROOT/tools/check_env.py" "$constraints" ||
        die 'the environment does not hold what it should (see above)'
    "$venv_python" -c 'import torch, mmengine, mmcv, cv2' ||
        die 'a package does not import; its message is above'
    "$venv_python" -m mmvision_ext.compat ||
        die "'python -m mmvision_ext.compat' failed; its message is above"
}

lock=$MMVISION_VENV.lock
mkdir -p -- "$(dirname -- "$MMVISION_VENV")"
# macOS has no flock; there the guard against two calls at once is left out.
if command -v flock >/dev/null; then
    exec 9>"$lock"
    if ! flock --nonblock 9; then
        say 'another set-up of this environment is at work; waiting for it'
        flock 9
    fi
fi

if must_rebuild || [ ! -e "$MMVISION_VENV" ]; then
    make_venv
elif [ "$(cat -- "$stamp" 2>/dev/null)" = "$(fingerprint)" ] &&
    "$venv_python" "$MMVISION_ROOT/tools/check_env.py" "$constraints"; then
    say "ready: $MMVISION_VENV"
    exit 0
fi

touch -- "$unfinished"
rm -f -- "$stamp"
install_all
wake_on_mmcv_ops
rm -f -- "$unfinished"
verify
fingerprint >"$stamp"
say "ready: $MMVISION_VENV"
