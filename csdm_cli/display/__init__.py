"""Everything that a person looks at: text made safe for where it is shown (``safe_text.py``)."""
