"""The shell: trio lives here, each file one kind of task. What must be remembered is in the ledger,
what is decided is pure.
"""
