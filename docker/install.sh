#!/usr/bin/env bash
# A step of the Dockerfile: installs the package and the mm packages of
# $STACK into /opt/mmvision, next to the torch that is there.
set -euo pipefail

source=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
# Not in the sources: what is installed is to be imported.
cd /
constraints=$source/requirements/$STACK.txt
torch=$(python -c 'import torch; print(torch.__version__)')
# The packages without a wheel are built in isolation, as in
# tools/setup_env.sh; `search` is for MA2ML, `pictures` for the rest.
pip install -c "$constraints" --build-constraint "$constraints" \
    "${source}[$STACK,search,pictures]"
[ "$torch" = "$(python -c 'import torch; print(torch.__version__)')" ] || {
    echo "error: torch $torch was replaced" >&2
    exit 1
}
cp -- "$source/tools/mmvision_ext_mmcv.pth" \
    "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
python "$source/tools/check_env.py" "$constraints"
python -m mmvision_ext info
# One short place for configs and tools.
ln -s -- "$(python -c 'from mmvision_ext.engine.shipped import shipped_root
print(shipped_root())')" /opt/mmvision/shipped
