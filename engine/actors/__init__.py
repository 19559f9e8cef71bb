"""The shell: trio is used here, each file one kind of task. What must be remembered is in the
ledger, what is decided is pure.
"""
