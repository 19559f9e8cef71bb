"""What exchanges report about their markets: contracts, prices and candles, read once for all
accounts.
"""
