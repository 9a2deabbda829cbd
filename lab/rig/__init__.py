"""Rigs that outgrow one machine: units, their hands and their hardware as places of labgrid.

::

    turret rig up ──── a bench with units; power switch, panels and hands on TCP of this machine
         │ floor.yaml, hands.yaml
    turret rig export  exports them (labgrid-exporter, which also knows our resources)
         │
    labgrid-coordinator ── places ── turret rig hold …  reserves one, and lets go when it ends
                                          │
                               pytest --lg-env emulated.yaml   the strategy: off → … → in-call

`floor` and `power` need no labgrid; `resources`, `drivers`, `strategy`, `exporter` and `lease` do.
"""
