"""Pages for masters: their strategies, webhooks, TradingView alerts, and the signature debugger."""
