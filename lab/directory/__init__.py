"""The directory: two slapd behind one HAProxy, LDAPS only."""

from .balancer import server_states
from .balancer import service as balancer_service
from .slapd import DirectoryUser, load
from .slapd import service as directory_service

__all__ = ["DirectoryUser", "balancer_service", "directory_service", "load", "server_states"]
