# Sourced by the shell scripts, not run: where the project and the environment
# of the chosen stack lie. Sets and exports, all absolute:
#   MMVISION_ROOT   the repository
#   MMVISION_STACK  onedl (default) or openmmlab
#   MMVISION_VENV   the virtual environment; default .venv in the repository,
#                   .venv-openmmlab for the second stack

MMVISION_ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
MMVISION_STACK=${MMVISION_STACK:-onedl}
case "$MMVISION_STACK" in
    onedl) _default_venv=$MMVISION_ROOT/.venv ;;
    openmmlab) _default_venv=$MMVISION_ROOT/.venv-openmmlab ;;
    *)
        echo "error: MMVISION_STACK is '$MMVISION_STACK'; expected 'onedl'" \
            "(default) or 'openmmlab'" >&2
        exit 2
        ;;
esac
MMVISION_VENV=${MMVISION_VENV:-$_default_venv}
unset _default_venv
case "$MMVISION_VENV" in
    /*) ;;
    *) MMVISION_VENV=$PWD/$MMVISION_VENV ;;
esac
export MMVISION_ROOT MMVISION_STACK MMVISION_VENV
