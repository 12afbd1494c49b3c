"""Methods that make a student trained on the synthetic images end where experts, trained on the real ones, went.

Read ``base`` (what all of them do) and ``mtt`` (the shortest), then ``distance`` (how far from the expert the student
ended), ``window`` (which part of an expert's way is matched) and ``ftd`` (the same on other experts); ``label_start``
and ``datm`` (labels that are learned), ``class_weights`` and ``lad`` (how a balanced set imitates a long tail). The
gradient of all this in the images is ``training/unrolled``'s.
"""
