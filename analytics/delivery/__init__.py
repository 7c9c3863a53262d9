"""How an alert gets to a target: e-mail and webhooks. Knows no rule and no database."""
