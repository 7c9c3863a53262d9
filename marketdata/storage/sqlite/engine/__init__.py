"""What DATABASES["ENGINE"] names for SQLite: Django looks for `base` in it."""
