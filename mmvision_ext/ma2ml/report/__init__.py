"""The report of a search, one HTML page from an Optuna study."""
from .page import write_report
from .record import Record, TrialRow, read_study

__all__ = ['Record', 'TrialRow', 'read_study', 'write_report']
