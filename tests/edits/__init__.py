"""What owners do to their projects, as functions; and how a merge of it is judged."""
