"""The masters' rooms: the studio, its strategies, their webhooks, and the signature debugger."""
