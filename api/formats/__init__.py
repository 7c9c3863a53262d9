"""How Django's pages write dates and times, in either language: as the rest of Naru does, by the day of 24 hours."""
