"""The one supervised loop, for teachers, students and controls alike.

``recipe`` (how, as a value), ``batches`` (what, step by step), ``losses``, ``loop``; ``many`` and ``wide_network``
(several networks at once), ``inference`` (logits of many images), ``tuned`` (faster arithmetic). ``second_order`` and
``unrolled`` differentiate what a network learns in the images it learns from.
"""
