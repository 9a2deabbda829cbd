"""The report folder of a demonstration: one page, the recordings, the metadata, the capture."""

from .page import Attachment, Clip, Report, Span, write_report

__all__ = ["Attachment", "Clip", "Report", "Span", "write_report"]
