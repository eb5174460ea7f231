"""What a frontend refuses when it is asked too much: requests a second, and polls at a time."""
