"""What every part stands on: errors, registries, strict TOML and JSON, whole files, progress. It names no model."""
