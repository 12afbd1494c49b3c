"""Evaluation of a set: students trained on it alone, and the controls without which no result stands.

Read ``protocol``, ``students``, ``probes`` (where they are linear probes), ``controls``, ``results``, ``scores``; then
``kept`` (students' results in the cache), ``fairness_scores`` (LRS and ARS) and ``inheritance`` (one backbone's
classifier used by another).
"""
