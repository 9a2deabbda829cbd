"""A TSS on an engineer's desk, served from a folder: ``turret tss``.

place.py     the interface and address that it stands on
rights.py    ports that are taken and rights that are missing, before anything starts
probe.py     asks whether the LAN has a DHCP server already
hints.py     what DHCP and TFTP tell a unit, for our dnsmasq and for the LAN's own server
dnsmasq.py   DHCP, DNS and TFTP
events.py    what units ask, as lines and as JSON
workbench.py everything together
cli.py       the command
"""
