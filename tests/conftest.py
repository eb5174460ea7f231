"""What every test runs under."""

from hypothesis import settings

# No deadline: a slow machine is no failure. The blob reproduces what was found.
settings.register_profile("perdure", deadline=None, print_blob=True)
settings.load_profile("perdure")
