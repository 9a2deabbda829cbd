"""The report folder of a demonstration: one page, the recordings, the metadata, the capture."""

from .folder import ForeignFolderError, clear_folder
from .page import Attachment, Clip, Report, Span, write_report

__all__ = [
    "Attachment",
    "Clip",
    "ForeignFolderError",
    "Report",
    "Span",
    "clear_folder",
    "write_report",
]
