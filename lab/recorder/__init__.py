"""A SIPREC recorder (RFC 7866) of the bench: writes WAV, raw payload and metadata.

*Ours*: the recorders of the field are products; this one stands in for any of them.
"""
