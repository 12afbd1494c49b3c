"""What a distillation run leaves behind: one file that explains and checks itself, and its pictures and exports.

Read ``distilled`` (the set in memory), ``file`` (the set on disk), ``validation`` (what must hold of it) and
``run_record`` (time and machine, kept beside it); then ``grid`` (its picture), ``export`` and ``ddranking`` (for other
tools), ``importing`` and ``foreign`` (from them).
"""
