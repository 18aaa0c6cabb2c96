"""Services on an interface: DHCP and DNS clients, mDNS, SNTP. See docs/services.md."""
