"""The TSS: units, users, profiles, firmware and configurations, published signed.

`Administration` is the database and the publisher; the servers (FTPES and HTTPS, run by
``python -m openturret.lab.tss``) only hand out what it published, so a server that is
broken into cannot make a unit accept anything.
"""

from .administration import Administration
from .factory import write_factory
from .image import pack_firmware
from .process import service

__all__ = ["Administration", "pack_firmware", "service", "write_factory"]
