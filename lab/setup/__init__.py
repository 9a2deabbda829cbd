"""Brings a bare Debian machine to the point where the bench starts: `make demo`, `make test`.

Runs before anything is installed, so this package knows the standard library only.
Everything it makes lands in the user's cache folder or in the checkout's `.venv`;
nothing is started or enabled on the host.
"""
