"""The interface: what comes in, whose turn it is, and the sockets that it carries."""
