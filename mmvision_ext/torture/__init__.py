"""Logic of ``tools/torture.py``: what a run survives, with numbers."""
