"""Drills: rehearsals of incidents with the real server and a simulated exchange, in a temporary
folder.
"""
