#!/usr/bin/env python
"""What a run survives, with numbers; see ``--help``."""
import sys
from pathlib import Path

# A checkout runs its own package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmvision_ext.torture.cli import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
