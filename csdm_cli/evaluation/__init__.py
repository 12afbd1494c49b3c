"""Evaluation of a set: students trained on it alone, and the controls without which no result stands.

Read ``students`` (the protocol), ``probes`` (where they are linear probes), ``controls``, ``results``, ``scores``; then
``fairness_scores`` (LRS and ARS) and ``inheritance`` (one backbone's classifier used by another).
"""
