"""The engine. Read first: ``loop`` (view, gradient, step, until done), then ``step`` (one iteration of all classes).

Then what they move and read: ``layout`` (how many images, in which chunks), ``leaves`` (what is optimised), ``decoded``
(the images that it stands for, and one iteration of a method that learns through training),
``real_side`` and ``bank`` (statistics of the real classes, fresh or computed once), ``balance`` (weights in units of
gradients), ``soft_labels``; around them ``checkpoint`` (nothing is lost), ``sharded`` (several processes), ``replay``
(steps recorded for a GPU),
``textbook`` (the field's loop).
"""
