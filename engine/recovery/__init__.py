"""Recovery: the mark beside the ledger that recognises an old ledger, and restoring a backup."""
