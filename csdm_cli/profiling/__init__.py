"""The costs of things: ``costs`` of an iteration and ``student_costs`` of a student's step, by phase; ``work``
(operations and traffic, counted), ``roofline`` (what the device could do), ``trace`` (a timeline).
"""
