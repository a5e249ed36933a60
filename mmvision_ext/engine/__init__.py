"""Running: command lines, checks before a run, launching, building."""
