"""What only a GPU can show: `make test-gpu` runs these tests on one.

All other tests run as on a machine without a GPU, wherever they are, for many of them compare bytes.
"""
