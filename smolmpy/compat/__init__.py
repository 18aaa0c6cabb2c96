"""What stands in for MicroPython's own modules."""
