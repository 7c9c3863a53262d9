"""What DATABASES["ENGINE"] names for PostgreSQL: Django looks for `base` in it."""
