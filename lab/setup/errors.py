"""What can go wrong while setting up.

SetupError
└── StepFailedError      a command of a step ended with an error
"""


class SetupError(Exception):
    """A step cannot be done; carries the reason and the remedy."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}\n  remedy: {remedy}")
        self.reason = reason
        self.remedy = remedy


class StepFailedError(SetupError):
    """A command of a step ended with an error; its output is in the log it names."""
