"""A/B firmware: tried once, judged, and taken back when it is not healthy.

``manager`` says what any unit's slots can do; ``files`` keeps them in two folders and does a
bootloader's part, ``rauc`` speaks with RAUC, which leaves that part to the bootloader itself.
"""
