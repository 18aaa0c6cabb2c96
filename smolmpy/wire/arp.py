"""ARP for IPv4 over Ethernet as text (RFC 826)."""

from .address import format, format_mac


def describe(buf, start, end):
    """One line for the ARP packet in `buf[start:end]`, trailing padding included in the length."""
    n = end - start
    if n < 28:
        return "ARP, truncated, length %d" % n
    hardware = buf[start] << 8 | buf[start + 1]
    protocol = buf[start + 2] << 8 | buf[start + 3]
    if hardware != 1 or protocol != 0x0800 or buf[start + 4] != 6 or buf[start + 5] != 4:
        return "ARP, hardware %d, protocol 0x%04x, length %d" % (hardware, protocol, n)
    operation = buf[start + 6] << 8 | buf[start + 7]
    sender_mac = bytes(buf[start + 8 : start + 14])
    sender = format(bytes(buf[start + 14 : start + 18]))
    target_mac = bytes(buf[start + 18 : start + 24])
    target = format(bytes(buf[start + 24 : start + 28]))
    if operation == 1:
        if any(target_mac):
            text = "Request who-has %s (%s) tell %s" % (
                target,
                format_mac(target_mac),
                sender,
            )
        else:
            text = "Request who-has %s tell %s" % (target, sender)
    elif operation == 2:
        text = "Reply %s is-at %s" % (sender, format_mac(sender_mac))
    else:
        text = "operation %d, %s to %s" % (operation, sender, target)
    return "ARP, %s, length %d" % (text, n)
