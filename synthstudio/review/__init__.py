"""What people say of labels: events in a database, never a change of a label on disk."""
