"""How jobs get in, and past the limits of their keys."""
