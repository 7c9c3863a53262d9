"""What a rule of a person means, judged on numbers: no database, no Redis and no clock."""
