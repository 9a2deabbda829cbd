"""How samples travel: the codecs of the engine and what the far end is told of them."""

import enum

from ._engine import ffi, lib


class Codec(enum.Enum):
    """The codecs; values below 128 are the static payload types of RFC 3551.

    The three of Opus are one codec on the wire: they differ in the rate at which our end works.
    """

    PCMU = lib.OT_PCMU
    PCMA = lib.OT_PCMA
    G722 = lib.OT_G722
    L16_8K = lib.OT_L16_8K
    L16_16K = lib.OT_L16_16K
    L16_48K = lib.OT_L16_48K
    OPUS_8K = lib.OT_OPUS_8K
    OPUS_16K = lib.OT_OPUS_16K
    OPUS_48K = lib.OT_OPUS_48K

    @property
    def encoding(self) -> str:
        """Its name in an rtpmap."""
        return ffi.string(lib.ot_codec_find(self.value).name).decode()

    @property
    def rate_hz(self) -> int:
        """The rate of its samples: 8000, 16000 or 48000 Hz."""
        return lib.ot_codec_find(self.value).rate_hz

    @property
    def clock_hz(self) -> int:
        """The rate of its RTP timestamps, which for G.722 and Opus is not that of its samples."""
        return lib.ot_codec_find(self.value).clock_hz
