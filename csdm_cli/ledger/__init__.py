"""The ledger: measured rows, each re-runnable from its own JSON, beside the values that papers claim.

``results/`` holds one JSON file per row (``row.py`` says what is in it, ``store.py`` reads and writes them,
``findings.py`` and ``building.py`` make them of finished runs); ``paper_results.csv`` holds what papers print. The two
are matched by ``matching.py`` and never share a column.

``paper_results.csv`` has facts alone: the paper that prints the value (``source``, an arXiv number) and where in it,
dataset, imbalance, images per class, network, method, metric, value, its spread and its unit. Nearly all come from the
CSDM paper (2603.01698), which re-ran or copied the other methods' values; RLDD's (2511.18858) and ADSA's (2511.17914)
come from their own.
"""
