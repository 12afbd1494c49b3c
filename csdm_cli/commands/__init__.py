"""One file per subcommand: settings come in, a run is called, a table goes out, and all of it is tracked.

In the order of use: ``make_lt``, ``pretrain``, ``distill``, ``evaluate``, ``cross_arch``, ``compare``, ``profile``,
``report``; then ``show``, ``verify``, ``export``, ``import_set``, ``merge``, ``methods``, ``ledger``,
``ledger_add`` and ``ledger_repeat``. No mathematics here.
"""
