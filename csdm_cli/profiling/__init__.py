"""The costs of things: ``costs`` of an iteration (``learning_costs`` where the method learns through training) and
``student_costs`` of a student's step, by phase; ``work`` (operations and traffic, counted), ``roofline`` (what the
device could do), ``trace`` (a timeline).
"""
