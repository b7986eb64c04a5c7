"""Providers are judged by the contract suites in ``contracts``, then by what is theirs alone."""
