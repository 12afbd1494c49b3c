"""Several processes at one job, on CPUs or GPUs, with the same bits as one.

``seat`` (this process's place under torchrun), ``ranks`` (what they tell each other), ``class_shares`` (who distils
which classes), ``shared_work`` (each takes from the cache's list what nobody else is at), ``interruption`` (signals
that wait for the end of a step, and what is said of them).
"""
