"""What a data set on disk holds, its faults, and a config for it."""
from .config import advise, check_base, config_lines, write_config
from .detect import inspect_data
from .record import DataSet, Split

__all__ = [
    'DataSet', 'Split', 'advise', 'check_base', 'config_lines',
    'inspect_data', 'write_config'
]
