"""Ethernet: frames, ARP and its neighbor cache, and the headers that are usual."""
