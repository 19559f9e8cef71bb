"""The web: webhooks, receipts and probes for bots, pages for people. It holds no trading rule."""
