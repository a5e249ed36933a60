"""Networks as files for other programs: ONNX and ``torch.export``."""

from .run import ExportRequest, export_model

__all__ = ['ExportRequest', 'export_model']
