"""Decoding against bytes of any kind, scapy's encoders and tcpdump's decoder."""

import re
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import RawPcapReader

from smolmpy.wire import address, describe
from smolmpy.wire.pcap import PcapWriter
from tools.common import Missing

addresses = st.binary(min_size=4, max_size=4).map(address.format)
senders = addresses.filter(lambda text: text != "0.0.0.0")
macs = st.binary(min_size=6, max_size=6).map(address.format_mac)
# Ports that tcpdump knows no protocol for.
ports = st.integers(42000, 48000)
word = st.integers(0, 0xFFFFFFFF)
half = st.integers(0, 0xFFFF)


@st.composite
def tcp_options(draw):
    options = []
    if draw(st.booleans()):
        options.append(("MSS", draw(half)))
    if draw(st.booleans()):
        options += [("NOP", None), ("WScale", draw(st.integers(0, 14)))]
    if draw(st.booleans()):
        options.append(("SAckOK", b""))
    if draw(st.booleans()):
        options.append(("Timestamp", (draw(word), draw(word))))
    if draw(st.booleans()) and len(options) < 3:
        edges = draw(st.lists(word, min_size=2, max_size=2))
        options += [("NOP", None), ("NOP", None), ("SAck", tuple(edges))]
    return options


@st.composite
def packets(draw):
    """A frame of scapy's: ARP, ICMP echo, an ICMP error, UDP or TCP."""
    eth = Ether(src=draw(macs), dst=draw(macs))
    kind = draw(st.sampled_from(["arp", "echo", "error", "udp", "tcp"]))
    if kind == "arp":
        arp = ARP(op=draw(st.integers(1, 2)), hwsrc=draw(macs), psrc=draw(senders))
        # tcpdump's versions differ in what they call probes and announcements.
        arp.pdst = draw(addresses.filter(lambda pdst: pdst != arp.psrc))
        return eth / arp
    ip = IP(src=draw(addresses), dst=draw(addresses), id=draw(half), ttl=draw(st.integers(1, 255)))
    data = draw(st.binary(max_size=40))
    if kind == "echo":
        message = ICMP(type=draw(st.sampled_from([0, 8])), id=draw(half), seq=draw(half))
        return eth / ip / message / data
    if kind == "error":
        quote = IP(src=ip.dst, dst=ip.src) / UDP(sport=draw(ports), dport=draw(ports)) / data
        return eth / ip / ICMP(type=3, code=draw(st.integers(0, 3))) / quote
    if kind == "udp":
        return eth / ip / UDP(sport=draw(ports), dport=draw(ports)) / data
    segment = TCP(sport=draw(ports), dport=draw(ports), seq=draw(word), ack=draw(word))
    segment.flags = draw(st.integers(0, 255))
    segment.window = draw(half)
    segment.urgptr = draw(half)
    segment.options = draw(tcp_options())
    return eth / ip / segment / data


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes(data):
    line = describe(data)
    assert line and "\n" not in line


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from([b"\x08\x00", b"\x08\x06"]), st.binary(max_size=100), st.data())
def test_any_bytes_of_a_protocol(ethertype, data, more):
    """Whatever follows an Ethernet header, or a good IPv4 header."""
    describe(bytes(12) + ethertype + data)
    protocol = more.draw(st.sampled_from([1, 6, 17]))
    total = more.draw(st.one_of(half, st.just(20 + len(data))))
    ihl = more.draw(st.integers(5, 15))
    head = bytes([0x40 | ihl, 0]) + struct.pack(">HHHBBH", total, 1, 0, 64, protocol, 0)
    describe(bytes(12) + b"\x08\x00" + head + bytes(8) + data)


@settings(max_examples=500, deadline=None)
@given(packets(), st.data())
def test_damaged_packets(packet, more):
    data = bytearray(bytes(packet))
    for _ in range(more.draw(st.integers(1, 4))):
        at = more.draw(st.integers(0, len(data) - 1))
        data[at] = more.draw(st.integers(0, 255))
    describe(data[: more.draw(st.integers(0, len(data)))])


@settings(max_examples=500, deadline=None)
@given(packets())
def test_scapy_packets(packet):
    """The line has what scapy has put in."""
    line = describe(bytes(packet))
    if ARP in packet:
        assert packet[ARP].pdst in line or packet[ARP].op == 2
        assert packet[ARP].psrc in line
        if packet[ARP].op == 2:
            assert f"Reply {packet[ARP].psrc} is-at {packet[ARP].hwsrc}" in line
        return
    ends = [packet[IP].src, packet[IP].dst]
    for layer in (UDP, TCP):
        if layer in packet and ICMP not in packet:
            ends = [f"{ends[0]}.{packet[layer].sport}", f"{ends[1]}.{packet[layer].dport}"]
    assert line.startswith(f"IP {ends[0]} > {ends[1]}: ")
    if TCP in packet:
        flags = packet[TCP].flags
        for letter, name in ("SS", "FF", "RR", "PP", (".", "A"), "UU", ("E", "E"), ("W", "C")):
            shown = letter in re.search(r"Flags \[(.*?)\]", line)[1].replace("none", "")
            assert shown == (name in flags), (line, flags)
        assert f"win {packet[TCP].window}," in line
        for name, value in packet[TCP].options:
            if name == "MSS":
                assert f"mss {value}" in line
            if name == "Timestamp":
                assert f"TS val {value[0]} ecr {value[1]}" in line
        assert line.endswith(f", length {len(packet[TCP].payload)}")
    elif ICMP in packet and packet[ICMP].type == 3:
        assert ["net", "host", "protocol", "port"][packet[ICMP].code] in line
    elif ICMP in packet:
        assert f"id {packet[ICMP].id}, seq {packet[ICMP].seq}," in line
    else:
        assert line.endswith(f"UDP, length {len(packet[UDP].payload)}")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 5000)), max_size=10))
def test_pcap_is_read_by_scapy(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("pcap") / "file.pcap"
    now = (1 << 30) - 3000  # the clock wraps while frames come
    with open(path, "wb") as file:
        writer = PcapWriter(file, epoch=1700000000, now=now, snaplen=64)
        for data, gap in frames:
            now = (now + gap) & 0x3FFFFFFF
            writer.write(data, len(data), now, 321)
    ms = 0
    with RawPcapReader(str(path)) as reader:
        for (data, gap), (got, meta) in zip(frames, reader, strict=True):
            ms += gap
            assert got == data[:64]
            assert meta.wirelen == len(data)
            assert meta.sec * 1000000 + meta.usec == 1700000000000000 + ms * 1000 + 321


def _tcpdump(path):
    if not shutil.which("tcpdump"):
        raise Missing("tcpdump is not installed: 'make deps' gets it.")
    return subprocess.run(
        ["tcpdump", "-n", "-S", "-t", "-r", path], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_lines_are_those_of_tcpdump(tmp_path, need):
    """For a thousand frames of every protocol, the same text."""
    import random

    from hypothesis import Phase

    chosen = []

    @settings(max_examples=1000, deadline=None, phases=[Phase.generate], database=None)
    @given(packets())
    def collect(packet):
        chosen.append(bytes(packet))

    collect()
    random.Random(1).shuffle(chosen)
    path = tmp_path / "frames.pcap"
    with open(path, "wb") as file:
        writer = PcapWriter(file)
        for data in chosen:
            writer.write(data, len(data), 0)
    theirs = need(_tcpdump, path)
    ours = [describe(data) for data in chosen]
    assert len(theirs) == len(ours) > 500
    different = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != b]
    if different:
        text = "\n".join(f"tcpdump {a}\nours    {b}" for a, b in different[:10])
        pytest.fail(f"{len(different)} of {len(ours)} differ:\n{text}", pytrace=False)
