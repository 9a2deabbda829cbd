"""Calls: SIP signalling, lines and the desk; never a media packet."""
