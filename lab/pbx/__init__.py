"""The PBX pair: two Kamailio, each a registrar and a proxy of its own.

They do not know each other. A unit and a party register at both, so either PBX alone
routes every call; what a real pair synchronises, this one has its users do.
"""

from .kamailio import PbxUser, configuration, service

__all__ = ["PbxUser", "configuration", "service"]
