"""One family of architectures a file; each lists its entries in ENTRIES."""
