"""The operators' rooms: how the place is doing, switches, accounts, unknowns, people, audit,
alerts, plugins, system.

Every page asks and acts through the commands of the operator's shell, so that there is one way in
which a thing is done.
"""
