"""Recovery: the mark beside the ledger that recognises an old one, and putting a backup into place."""
