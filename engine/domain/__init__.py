"""Domain values: frozen and never invalid. Standard library only; no clock, no network, no
database.
"""
