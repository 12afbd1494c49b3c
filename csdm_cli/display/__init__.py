"""What a person sees: ``console`` (tables and notes), ``pictures`` (PNG) and ``class_chart`` (bars of class sizes)."""
