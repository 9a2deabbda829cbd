"""What can be wrong with bytes from the network, as one tree.

::

    WireError
    ├── TruncatedError     the bytes end before the message does
    ├── MalformedError     a field holds what the RFC forbids
    └── OptionError        one option of an otherwise good message is wrong
"""


class WireError(ValueError):
    """Bytes from the network are not the message they claim to be."""


class TruncatedError(WireError):
    """The bytes end before the message does."""


class MalformedError(WireError):
    """A field holds a value that its RFC forbids."""


class OptionError(WireError):
    """One option has the wrong length or content; the rest may still be good."""
