"""Benchmarks that compare with a floor measured in the same run. They are not tests and are not
installed; ``docs/performance.md`` says what each row means.
"""
