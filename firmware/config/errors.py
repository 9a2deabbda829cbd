"""What can be wrong with a configuration.

::

    ConfigError
    ├── UnknownKeyError     a name that is in no registry entry was asked for
    ├── BadFileError        the file is not readable as a flat list of keys
    ├── BadValueError       a value that its key does not allow
    └── ConflictError       each value is allowed, together they are not
"""

from ..errors import FirmwareError


class ConfigError(FirmwareError):
    """Something about a configuration that a person has to put right."""


class UnknownKeyError(ConfigError, KeyError):
    """A key was asked for that the registry does not hold."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class BadFileError(ConfigError, ValueError):
    """The file is missing, too large, or not flat ``key: value`` YAML."""


class BadValueError(ConfigError, ValueError):
    """A value is outside what its key allows."""


class ConflictError(ConfigError, ValueError):
    """Two or more keys contradict each other."""
