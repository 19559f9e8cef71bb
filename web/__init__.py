"""The web: signed webhooks in, receipts, health and the live page out. It shows and asks through
one object; it holds no trading rule.
"""
