"""Detection: many objects an image, their boxes and classes."""
