#!/usr/bin/env python
"""Convert an official weight file; see docs/weights.md."""
import sys
from pathlib import Path

# A checkout runs its own package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmvision_ext.engine.convert_cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
