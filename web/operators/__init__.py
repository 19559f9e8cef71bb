"""Pages for operators: overview, accounts, switches, unknowns, people, records and the system.

Every page reads and acts through the commands of the operator's shell, so that there is one way to
do a thing.
"""
