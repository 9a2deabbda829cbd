"""The console of an XMA2, and the gains of a device: what they answer is what the board says."""

from ...hal.errors import DeviceError
from ...hal.gain import Adjustable
from ...hal.xma import Xma
from .subject import Subject
from .verdict import Verdict


async def check_console(subject: Subject) -> Verdict:
    """Reads the port filter, the channels and the counters of the module; changes nothing."""
    module = subject.device
    if not isinstance(module, Xma):
        remedy = "use the driver xma2"
        return subject.failed("console", "its driver has no switch administration", remedy)
    try:
        ports = await module.port_filter()
        channels = await module.switch_channels()
        await module.counters()
    except DeviceError as error:
        return subject.failed("console", str(error), "look at its line and its secret")
    figures = {"channels": float(len(channels)), "ports": float(ports.ports)}
    text = f"{len(channels)} channels, RTP {ports.rtp_lower_port}-{ports.rtp_upper_port}"
    if len(channels) != subject.spec.channels:
        text += f"; the board says {subject.spec.channels} channels"
        return subject.failed("console", text, "correct channels on the board", figures)
    return subject.passed("console", text, figures)


async def check_gains(subject: Subject) -> Verdict:
    """Reads which gains the device can set; changes none."""
    device = subject.device
    ranges = device.gains() if isinstance(device, Adjustable) else {}
    if not ranges:
        remedy = "take gain and sidetone out of the capabilities"
        return subject.failed("gains", "it has no gains of its own", remedy)
    said = (f"{name} {r.minimum_db:g} to {r.maximum_db:g} dB" for name, r in ranges.items())
    return subject.passed("gains", ", ".join(said))
