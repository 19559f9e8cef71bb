"""Nouns: frozen values that cannot be invalid. Standard library only; no clock, no network, no
database.
"""
