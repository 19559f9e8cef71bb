"""The traders' rooms: how my accounts stand, what they copy, what became of signals, and how to
stop.
"""
