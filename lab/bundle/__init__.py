"""From a plain folder of YAML files to a signed tree that a TSS serves: ``turret bundle``.

folder.py      where things stand in a site
checks.py      everything in it, read and checked, with every problem at once
manufacture.py units: name plates, passwords, factory folders
pack.py        this checkout as a firmware image
publisher.py   what would change, and its publication
cli.py         the command
"""
