"""Methods that make a student trained on the synthetic images end where experts, trained on the real ones, went.

Read ``distance`` (how far from the expert the student ended), then ``window`` (which part of an expert's way is
matched) and ``class_weights`` (how a balanced set imitates a long tail). The gradient of all this in the images is
``training/unrolled``'s.
"""
