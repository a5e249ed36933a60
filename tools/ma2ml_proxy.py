#!/usr/bin/env python
"""Measure how well a proxy ranks candidates; see docs/ma2ml.md."""
import sys
from pathlib import Path

# A checkout runs its own package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmvision_ext.ma2ml.proxy_check import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
