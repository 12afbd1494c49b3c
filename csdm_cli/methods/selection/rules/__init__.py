"""The rules that selection methods choose by, as functions of numbers alone.

``observers`` (what teachers see in real images), ``greedy`` (herding, k-center, facility location), ``gradients``,
``history`` (forgetting), ``crops`` (RDED).
"""
