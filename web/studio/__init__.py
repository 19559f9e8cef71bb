"""Pages for masters: their strategies, webhooks, addresses, and the signature debugger."""
