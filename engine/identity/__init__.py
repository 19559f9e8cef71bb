"""Identity: second factors, passkeys and their challenges, recovery codes, signed references of sessions.
Nothing here is stored; used challenges are remembered in memory for minutes.
"""
