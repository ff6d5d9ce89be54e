"""Versioned edits of the owner's own code, for what has another name or another call by now."""
