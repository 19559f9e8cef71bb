"""Pages for followers: accounts, strategies, terms, outcomes of signals, results, and stopping."""
