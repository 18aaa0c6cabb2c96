"""The interface: Ethernet, ARP, IPv4, ICMPv4, routes, and the table of sockets."""
