"""Keys: the root key file, the vault, and what lies sealed in the ledger. Only this package
encrypts.
"""
