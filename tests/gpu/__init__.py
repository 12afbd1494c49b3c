"""Tests that only a GPU can pass: `make test-gpu` runs them on one.

All other tests run as on a machine without a GPU, wherever they are, for many of them compare bytes.
"""
