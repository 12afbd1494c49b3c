"""The results of a distillation run: one file that explains and checks itself, and its pictures and exports.

Read ``distilled`` (the set in memory), ``file`` (the set on disk), ``validation`` (what must hold of it),
``accounting`` (what it takes) and ``run_record`` (time and machine, kept beside it); then ``grid`` (its picture),
``stored_evaluation`` (what students scored on it), ``evaluation_rows`` (that as rows of a table), ``dataset`` (the set
as a torch ``Dataset``), ``joining`` (parts of sets, and sets of parts), ``export``, ``huggingface`` and ``ddranking``
(for other tools).
"""
