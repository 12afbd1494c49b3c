"""Distribution matching: methods that move pixels until statistics of each synthetic class equal the real ones.

One file per method: ``dm`` is the shortest, ``csdm`` what this package is built around. ``transport`` is wmdd's.
"""
