"""From settings to a result, printing nothing: what notebooks, commands, the ledger and the benchmarks call.

Read ``method_options`` (the method that settings name), ``choose`` (every open setting decided, every refusal made),
``task`` (a distillation before it is done, and its key), ``start`` (what images are made of), ``assemble`` and
``assemble_learning`` (the engine's objects), ``optimise``, ``distill``, ``turns`` (one process at a time makes a set);
then ``long_tail``, ``teachers``, ``experts``, ``backbones`` (those that are never trained), ``labels``,
``student_protocol``, ``evaluating``, ``probes``, ``evaluate``, ``cross_arch``, ``cross_backbones``, ``fairness`` and
``profile`` for the other stages, ``measurement`` (a set and its students' scores), ``replaced_results`` (those that
evaluate writes over), ``whole_run`` (what a set took), ``provenance`` (what results tell of their origin), ``tracked``
(what tracked runs tell of a set), ``runtime`` (device and threads). ``door`` and ``loading`` are what ``import
csdm_cli`` offers: the same runs, with the options of the commands as ``keywords``; and a set as tensors.
"""
