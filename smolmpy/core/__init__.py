"""What the layers share: the state of an interface, its counters, timers, and table of ports."""
