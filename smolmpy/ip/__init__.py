"""IPv4: packets, ICMP, IGMP and routes."""
