"""The one list of what decides a result: the rooms whose code goes into the key of each kind of cached result.

A change of a line in one of them makes the result anew, here and under DVC: ``tests/test_what_decides.py`` compares
these rooms and the dependencies in ``dvc.yaml`` with what the code of each result really imports.
"""

from __future__ import annotations

LONG_TAIL = ("data", "images", "seeds.py")
TEACHERS = ("images", "networks", "training", "teachers", "seeds.py")
# A statistic of a method's own brings the hash of the file that defines it.
BANK = (*TEACHERS, "spectral", "distillation", "methods/statistics.py", "methods/matching/transport")
STUDENTS = ("images", "networks", "training", "evaluation", "seeds.py")
# The file of the method comes on top.
DISTILLED = (
    *BANK,
    "methods/bounds.py",
    "methods/contract.py",
    "methods/learning.py",
    "methods/gradient/base.py",
    "methods/gradient/centres.py",
    "methods/gradient/distances.py",
    "methods/gradient/layers.py",
    "methods/gradient/matched.py",
    "methods/trajectory",
    "methods/gradient/pooling.py",
    "methods/regularisers",
    "methods/selection/base.py",
    "methods/selection/rules",
    "parameterisations",
    "artifacts/accounting.py",
    "artifacts/distilled.py",
    "artifacts/file.py",
    "runs/assemble.py",
    "runs/backbones.py",
    "runs/assemble_learning.py",
    "runs/choose.py",
    "runs/distill.py",
    "runs/experts.py",
    "runs/labels.py",
    "runs/method_options.py",
    "runs/optimise.py",
    "runs/provenance.py",
    "runs/start.py",
    "runs/task.py",
    "runs/teachers.py",
)
