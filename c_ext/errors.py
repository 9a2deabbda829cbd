"""What can go wrong in the engine.

EngineError (OSError)
├── AddressInUseError     the RTP port, or the RTCP port after it, is taken
├── CapacityError         no slot is left for another leg, device, bus or recording
├── ClosedError           the object was closed, or belongs to another engine
├── EngineStateError      started twice, or stepped while its thread runs
├── EngineStalledError    the engine's thread has not answered for a second
├── NotNegotiatedError    the far end did not agree to it
└── SettingError          an address, port, codec, packet time or gain out of bounds
"""


class EngineError(OSError):
    """The engine refused; ``errno`` says why."""


class AddressInUseError(EngineError):
    """The RTP port, or the RTCP port after it, is taken."""


class CapacityError(EngineError):
    """No slot is left for another leg, device, bus or recording."""


class ClosedError(EngineError):
    """The object was closed, or belongs to another engine."""


class EngineStateError(EngineError):
    """The engine was started twice, or stepped while its thread runs."""


class EngineStalledError(EngineError):
    """The engine's thread has not answered for a second."""


class SettingError(EngineError, ValueError):
    """An address, port, codec, packet time or gain is out of bounds."""


class NotNegotiatedError(EngineError):
    """The far end did not agree to it: telephone events, for one."""
