"""A QEMU guest with Debian's own kernel, which drives the twins of a turret's USB devices.

`make kernel-test` runs the contract tests in it: the checkout and its environment are shared
read-only, so what runs there is what stands here.
"""
