"""The engine. Read first: ``loop`` (view, gradient, step, until done), then ``step`` (one iteration of all classes).

Then what they move and read: ``layout`` (how many images, in which chunks), ``pixels`` (what is optimised),
``real_side`` and ``bank`` (statistics of the real classes, fresh or computed once), ``soft_labels``; around them
``checkpoint`` and ``interruption`` (nothing is lost), ``sharded`` (several processes), ``textbook`` (the field's loop).
"""
