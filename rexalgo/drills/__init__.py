"""Drills: incidents rehearsed on this machine with the real server and the simulated exchange, in
processes and a folder of their own.
"""
