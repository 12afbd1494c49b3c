"""What a person sees: text made safe for where it is shown (``safe_text.py``), tables of it (``tables.py``), and the
streams it goes to (``streams.py``)."""
