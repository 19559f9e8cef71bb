"""Keys: the root key file, the vault, and what is sealed in the ledger. Only this package encrypts."""
