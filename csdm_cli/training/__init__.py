"""The one supervised loop, for teachers, students and controls alike.

``recipe`` (how, as a value), ``batches`` (what, step by step), ``sampling`` (which images) and ``labeller`` (targets as
teachers give them), ``losses``, ``loop``, ``optimizer_state`` (an optimiser's averages, for a file), ``debiased`` (a
recipe for long tails), ``gsam`` (another gradient to step along); ``many`` and ``wide_network`` (several networks at
once), ``inference`` (logits and features of many images), ``tuned`` (faster arithmetic), ``probe`` (linear probes of
frozen networks), ``objectives`` and ``pretext`` (training without labels). ``second_order`` and ``unrolled``
differentiate what a network learns in the images it learns from.
"""
