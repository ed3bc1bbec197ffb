"""Builds the use cases from a configuration, and what the operator asks about all of them.

    composition   the composition root: `App`
    factories     the configuration as the parts that plan and send take it
    status        how everything stands
    idle          why nothing goes out
    trace         the history of one subscriber or one paper (`newsletter why`)
    alerts        what the owner is told
    maintenance   backup, restore, prune
    inspection    captures and configuration, looked into without a database
    doctor        checks of the installation

Plans and sends nothing by itself.
"""
