"""How tests hash people's passwords: as Django does, in one turn instead of a million. Any process can check them."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class OneTurnHasher(PBKDF2PasswordHasher):
    iterations = 1
