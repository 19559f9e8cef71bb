"""Identity: passwords, second factors, recovery codes and the signed references of sessions.
Nothing here stores anything.
"""
