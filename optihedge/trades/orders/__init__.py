"""Orders out of the house: a list as venues and brokers take it. See `formats`."""
