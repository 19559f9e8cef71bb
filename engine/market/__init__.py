"""What exchanges say about their markets: contracts, prices and candles, read once for everybody."""
