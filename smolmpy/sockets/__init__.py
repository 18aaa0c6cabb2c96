"""The sockets that an interface carries."""
