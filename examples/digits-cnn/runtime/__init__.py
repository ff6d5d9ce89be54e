"""The small library under train.py, to be read and changed like the rest of the project."""
