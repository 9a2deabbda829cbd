r"""Cuts what a serial line says into lines, whatever it says.

A line that is too long is dropped up to its end and counted, and the one after it is heard:
power-up noise and a wrong rate must not cost more than themselves.

    >>> cutter = LineCutter(max_line_bytes=8)
    >>> cutter.feed(b"noise without an end"), cutter.feed(b"...\r\n$01 up\r\n$02")
    ([], [b'$01 up'])
    >>> cutter.feed(b" k\n"), cutter.dropped
    ([b'$02 k'], 1)
"""


class LineCutter:
    """Keeps at most one line's worth of bytes.

    Args:
        max_line_bytes: Longest line that is handed on, without its end.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max = max_line_bytes
        self._rest = b""
        self._skipping = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the lines that ``data`` completes, without their ends; blank ones are skipped."""
        *complete, self._rest = (self._rest + data).split(b"\n")
        if complete and self._skipping:
            del complete[0]
            self._skipping = False
        lines = [line.removesuffix(b"\r") for line in complete]
        self._drop_overlong_rest()
        fitting = [line for line in lines if len(line) <= self._max]
        self.dropped += len(lines) - len(fitting)
        return [line for line in fitting if line]

    def _drop_overlong_rest(self) -> None:
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > self._max + len(b"\r"):
            self._rest = b""
            self._skipping = True
            self.dropped += 1
