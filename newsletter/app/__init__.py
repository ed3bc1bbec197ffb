"""Builds the use cases from a configuration, and implements the operator's own.

    composition           the composition root: `App`
    subscriber_use_cases  the part of it that is about subscribers
    factories             what planning and sending need, built from the configuration
    edition_factories     what editions and messages need, built from the configuration
    clock                 the current time
    status                the state of the installation
    idle                  why nothing is sent
    trace                 the history of one subscriber or one paper (`newsletter why`)
    alerts                reports to the owner
    alert_conditions      what they are told of
    alert_reports         when a report is sent, and sent again
    alert_channels        the ways to reach them besides mail, and the ping
    maintenance           backup, restore, prune
    inspection            reads captures and checks the configuration, without a database
    doctor                checks of the installation

Leaves planning to `planning` and sending to `delivery`.
"""
