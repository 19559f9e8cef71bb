"""Conformance kits: numbered promises of plugins, run by ``rexalgo plugin test`` and from pytest;
``rexalgo.testing`` is the public import.
"""
