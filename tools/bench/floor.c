/* The least that can answer on a tap: what any stack in any language has to pay as well.

   floor FD ADDRESS: FD is a tap. Echoes UDP by swapping addresses; knows just enough of TCP to be
   one end of each operation of traffic.c on a cable that loses next to nothing: no checks, no
   options but those that every full stack uses, one connection at a time. Ports: 7 echoes, 9
   discards, 19 sends. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { source_port = 19, sink_port = 9, echo_port = 7, mss = 1460 };
enum { fin = 1, syn = 2, rst = 4, psh = 8, ack = 16 };
enum { our_scale = 4, most_in_flight = 256 * 1024, patience = 20 };

static int tap;
static uint8_t frame[2048], out[2048];
static const uint8_t our_mac[6] = { 2, 0, 0, 0, 0, 1 };
static uint32_t our_address;

/* The connection. */
static uint32_t snd_una, snd_nxt, rcv_nxt, window;
static int scale, sending, to_acknowledge, peer_port;

static uint16_t get16(const uint8_t *p) {
    return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p) {
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v) {
    p[0] = v >> 8;
    p[1] = v;
}

static void put32(uint8_t *p, uint32_t v) {
    put16(p, v >> 16);
    put16(p + 2, v);
}

static unsigned sum(const uint8_t *p, int n, uint64_t s) {
    uint32_t word;
    for (; n >= 4; n -= 4, p += 4) {
        memcpy(&word, p, 4);
        s += word;
    }
    if (n) {
        word = 0;
        memcpy(&word, p, n);
        s += word;
    }
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffff) + (s >> 16);
    return (s & 0xffff) + (s >> 16); /* in the machine's order of bytes */
}

static void swap(uint8_t *a, uint8_t *b, int n) {
    uint8_t other[6];
    memcpy(other, a, n);
    memcpy(a, b, n);
    memcpy(b, other, n);
}

static void put_sum(uint8_t *p, unsigned s) {
    uint16_t v = ~s;
    memcpy(p, &v, 2);
}

/* Sends `out`, whose headers up to the ports are in place, with n bytes of data behind the header. */
static void segment(uint32_t seq, int flags, int header, int n) {
    static unsigned data_sum;
    static int data_size = -1;
    uint8_t *tcp = out + 34;
    int length = header + n;
    put16(out + 16, 20 + length);
    out[24] = out[25] = 0;
    put_sum(out + 24, sum(out + 14, 20, 0));
    put32(tcp + 4, seq);
    put32(tcp + 8, rcv_nxt);
    tcp[12] = header << 2;
    tcp[13] = flags;
    put16(tcp + 14, 65535);
    tcp[16] = tcp[17] = tcp[18] = tcp[19] = 0;
    uint64_t s = sum(out + 26, 8, htons(6) + htons(length));
    s = sum(tcp, header, s);
    if (sending) {
        /* What is sent is always the same. */
        if (n != data_size) {
            data_size = n;
            data_sum = sum(tcp + header, n, 0);
        }
        s += data_sum;
        s = (s & 0xffff) + (s >> 16);
        s = (s & 0xffff) + (s >> 16);
    } else if (n) {
        s = sum(tcp + header, n, s);
    }
    put_sum(tcp + 16, s);
    if (write(tap, out, 34 + length) < 0) {
        return;
    }
}

static void send_data(void) {
    while (sending && window - (snd_nxt - snd_una) >= mss && window >= snd_nxt - snd_una) {
        segment(snd_nxt, ack, 20, mss);
        snd_nxt += mss;
    }
}

static void handle_tcp(int n) {
    uint8_t *tcp = frame + 34;
    int header = tcp[12] >> 4 << 2, flags = tcp[13], port = get16(tcp + 2);
    int size = get16(frame + 16) - 20 - header;
    uint32_t seq = get32(tcp + 4);
    if (!(flags & syn) && get16(tcp) != peer_port) {
        return; /* the last of the connection before */
    }
    if (flags & rst) {
        sending = 0;
        return;
    }
    if (flags & syn) {
        memcpy(out, frame, 14);
        memcpy(out + 6, our_mac, 6);
        memcpy(out, frame + 6, 6);
        memcpy(out + 14, "\x45\0\0\0\0\0\x40\0\x40\6\0\0", 12);
        memcpy(out + 26, frame + 30, 4);
        memcpy(out + 30, frame + 26, 4);
        memcpy(out + 34, tcp + 2, 2);
        memcpy(out + 36, tcp, 2);
        memcpy(out + 54, "\2\4\5\xb4\3\3\0\1", 8); /* MSS 1460, window scale, no operation */
        out[60] = our_scale;
        for (int i = 20; i < header && tcp[i];) {
            if (tcp[i] == 1) {
                i++;
                continue;
            }
            if (tcp[i] == 3) {
                scale = tcp[i + 2];
            }
            i += tcp[i + 1];
        }
        peer_port = get16(tcp);
        sending = 0;
        to_acknowledge = 0;
        snd_una = snd_nxt = 1000;
        rcv_nxt = seq + 1;
        segment(snd_nxt++, syn | ack, 28, 0);
        snd_una = snd_nxt;
        return;
    }
    window = (uint32_t)get16(tcp + 14) << scale;
    if (window > most_in_flight) {
        window = most_in_flight;
    }
    if ((int32_t)(get32(tcp + 8) - snd_una) > 0) {
        snd_una = get32(tcp + 8);
        if ((int32_t)(snd_nxt - snd_una) < 0) {
            snd_nxt = snd_una;
        }
    }
    if (seq != rcv_nxt) {
        if (size) {
            segment(snd_nxt, ack, 20, 0);
        }
        return;
    }
    rcv_nxt += size;
    if (flags & fin) {
        rcv_nxt++;
        segment(snd_nxt, fin | ack, 20, 0);
        snd_nxt++;
        to_acknowledge = 0;
    } else if (port == source_port) {
        if (!sending) {
            sending = 1;
            memset(out + 54, 'x', mss);
        }
        send_data();
    } else if (size && port == echo_port) {
        memcpy(out + 54, tcp + header, size);
        segment(snd_nxt, psh | ack, 20, size);
        snd_nxt += size;
    } else if (size && ++to_acknowledge == 2) {
        segment(snd_nxt, ack, 20, 0);
        to_acknowledge = 0;
    }
}

static void handle(int n) {
    int type = get16(frame + 12);
    if (type == 0x0806 && frame[21] == 1 && get32(frame + 38) == our_address) {
        frame[21] = 2;
        memcpy(frame + 32, frame + 22, 10);
        memcpy(frame + 22, our_mac, 6);
        put32(frame + 28, our_address);
        memcpy(frame, frame + 6, 6);
        memcpy(frame + 6, our_mac, 6);
    } else if (type == 0x0800 && get32(frame + 30) == our_address && frame[23] == 17) {
        swap(frame, frame + 6, 6);
        swap(frame + 26, frame + 30, 4);
        swap(frame + 34, frame + 36, 2);
    } else {
        if (type == 0x0800 && get32(frame + 30) == our_address && frame[23] == 6) {
            handle_tcp(n);
        }
        return;
    }
    if (write(tap, frame, n) < 0) {
        return;
    }
}

int main(int argc, char **argv) {
    struct pollfd waiting = { .events = POLLIN };
    if (argc < 3) {
        return 2;
    }
    waiting.fd = tap = atoi(argv[1]);
    our_address = ntohl(inet_addr(argv[2]));
    for (;;) {
        int n = read(tap, frame, sizeof frame);
        if (n > 0) {
            handle(n);
        } else {
            if (to_acknowledge) {
                segment(snd_nxt, ack, 20, 0);
                to_acknowledge = 0;
            }
            if (!poll(&waiting, 1, sending ? patience : -1)) {
                snd_nxt = snd_una; /* the kernel has dropped something: once more from there */
                send_data();
            }
        }
    }
}
