"""Detection: which objects an image shows, of which classes, and where."""
