#!/usr/bin/env python
"""Evaluate a checkpoint with a config; see docs/running.md."""
import sys
from pathlib import Path

# A checkout runs its own package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmvision_ext.engine.launch import test  # noqa: E402

if __name__ == '__main__':
    sys.exit(test())
