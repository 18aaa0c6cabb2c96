"""What a frame looks like to a person: addresses as text, one-line decoding, pcap files.

Nothing here runs in the stack's hot path; decoding allocates freely.
"""


def describe(frame, length=None):
    """One readable line for an Ethernet frame (`bytes`-like, without FCS).

    `length` counts the bytes of `frame` that are the frame, all of it by default. Any bytes
    whatever give a line: what is cut short or contradicts itself is said in the line.
    """
    from .ethernet import describe as ethernet

    return ethernet(frame, 0, len(frame) if length is None else min(length, len(frame)))
