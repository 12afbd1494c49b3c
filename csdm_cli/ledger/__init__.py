"""The ledger: measured rows, each re-runnable from its own JSON, beside the values that papers claim.

``results/`` holds one JSON file per row: ``row`` says what is in it, ``store`` reads and writes them, ``measurements``
and ``rows_from_runs`` make them of finished runs, ``sections`` and ``shell_commands`` lead back to settings and
commands, ``protocol`` says what a row was measured under. ``papers`` reads ``paper_results.csv``; ``matching`` sets the
two side by side, never in one column, and ``departures`` what differs; ``tables`` and ``headline`` show them beside
their ``storage``, and ``overview`` all of it. ``repeat`` measures a row again. Rows of linear probes have their own in
``probe_rows`` and ``repeat_probes``.

``paper_results.csv`` has facts alone: the paper that prints the value (``source``, an arXiv number) and where in it,
dataset, imbalance, images per class, network, method, metric, value, its spread and its unit. Nearly all come from the
CSDM paper (2603.01698), which re-ran or copied the other methods' values; RLDD's (2511.18858) and ADSA's (2511.17914)
come from their own.
"""
