"""What DATABASES["ENGINE"] names for MariaDB: Django looks for `base` in it."""
