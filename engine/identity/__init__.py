"""Who somebody is: passwords, second factors, recovery codes and the signed references of sessions.
Nothing here stores anything.
"""
