"""What a frame costs on the bus: bytes and transactions, and the share of the line's time that is
payload at 20 MHz. And a random walk that no driver may fall over on.
"""

from tests.models.kit import OTHER, Kit, frame

SIZES = (60, 590, 1514)


def costs(name, interrupt=False, waiting=1, **options):
    """[(what, size, bytes, transactions, share)], for one frame where `waiting` are there."""
    rows = []
    for size in SIZES:
        k = Kit(name, interrupt, **options)
        data = frame(size)
        k.works()
        k.receive()
        for _ in range(waiting):
            assert k.model.inject(data)
        k.model.reset_counts()
        for _ in range(waiting):
            assert k.receive() == data
        rows.append(_row("receive", size, k.model, waiting))
    for known in (False, True):
        for size in SIZES:
            k = Kit(name, interrupt, **options)
            k.works()
            if known:
                # As in an exchange: the last frame was seen to have left while a frame came.
                k.model.inject(frame(60))
                k.receive()
            k.model.reset_counts()
            assert k.transmit(frame(size, 1, OTHER)) == 0
            rows.append(_row("transmit in an exchange" if known else "transmit", size, k.model, 1))
    return rows


def _row(what, size, model, count):
    return what, size, model.bytes / count, model.transactions / count, size * count / model.bytes


def table(name, rows):
    """The rows as text."""
    lines = ["%s: what, frame, SPI bytes, transactions, payload, time at 20 MHz" % name]
    for what, size, count, transactions, share in rows:
        lines.append(
            "  %-24s %5d B %8.1f B %5.1f %6.1f %% %7.1f us"
            % (what, size, count, transactions, 100 * share, count * 0.4)
        )
    return "\n".join(lines)


def walk(name, steps, interrupt, faults=True):
    """Does what `steps`, small numbers, say. Frames may be lost to faults, but what arrives is
    what was sent, in order, and the chip works in the end."""
    k = Kit(name, interrupt)
    m = k.model
    wire = []
    left = []
    spoiled = False
    for seed, step in enumerate(steps):
        kind, value = step % 16, step // 16
        if kind < 6:
            data = frame(60 + value % 1455, seed)
            if m.inject(data):
                wire.append(data)
        elif kind < 9:
            got = k.receive()
            if isinstance(got, bytes) and spoiled and got not in wire:
                pass  # a wrong length that could be is not seen
            elif isinstance(got, bytes):
                while wire and wire[0] != got:
                    assert faults, "a frame was lost"
                    wire.pop(0)
                assert wire, "a frame came that was never sent"
                wire.pop(0)
            else:
                assert got in ((0, -5, -19) if faults else (0,)), got
        elif kind < 12:
            data = frame(60 + value % 1455, seed, OTHER)
            result = k.transmit(data)
            assert result in ((0, -5, -11, -19) if faults else (0, -11)), result
            if result == 0:
                left.append(data)
        elif kind == 12:
            m.advance(value % 3000)
        elif not faults:
            pass
        elif kind == 13:
            if value % 3 == 0:
                m.reset_chip()
            elif value % 3 == 1:
                m.at_byte(1 + value % 300, m.reset_chip)
            else:
                m.tx_stalls += 1
        elif kind == 14:
            m.stuck = (None, None, 0x00, 0xFF)[value % 4]
        elif hasattr(m, "lengths"):
            spoiled = True
            m.lengths.append(value * 37 & 0xFFFF)
        else:
            m.late_collisions = value % 20
    m.stuck = None
    m.events.clear()
    m.tx_stalls = 0
    m.late_collisions = 0
    if hasattr(m, "lengths"):
        m.lengths.clear()
    for _ in range(600):
        m.advance(3000)
        n = k.driver.receive(k.rx)
        if n == 0 and not faults:
            break
    for _ in range(40):
        if k.transmit(frame(60, 9999, OTHER)) == 0:
            break
        m.advance(3000)
        k.driver.receive(k.rx)
    m.advance(3000)
    k.works()
    if not faults:
        sent = [data for data in m.sent if data in left]
        assert sent == left[-len(sent) :]
