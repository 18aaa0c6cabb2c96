/* What the benchmark of the unix port does through the kernel's sockets.

   traffic serve ADDRESS            the kernel's own stack as the server of all operations
   traffic OPERATION ADDRESS SEC    the client of one; prints its figure

   Operations: udp_echo_1 and udp_echo_32 (64-byte echoes a second, that many outstanding), tcp_echo
   (64-byte requests answered a second), tcp_sink and tcp_source (MB/s, 10^6 bytes), tcp_connections
   (connections a second, opened and closed at both ends). Ports: 7 echoes, 9 discards, 19 sends. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { echo_port = 7, sink_port = 9, source_port = 19, message = 64, piece = 65536 };

static char data[piece];
static struct sockaddr_in server;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int open_socket(int type, int port) {
    struct timeval limit = { .tv_sec = 0, .tv_usec = 200000 };
    int on = 1;
    server.sin_port = htons(port);
    if (type == SOCK_STREAM) {
        limit.tv_sec = 5;
    }
    /* A server with one socket may still be about to listen again. */
    for (int tries = 0; tries < 1000; tries++) {
        int fd = socket(AF_INET, type, 0);
        if (fd < 0) {
            fail("socket");
        }
        if (!connect(fd, (struct sockaddr *)&server, sizeof server)) {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
            if (type == SOCK_STREAM) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            }
            return fd;
        }
        close(fd);
        usleep(1000);
    }
    fail("connect");
    return -1;
}

static void udp_echo(int outstanding, double seconds) {
    int fd = open_socket(SOCK_DGRAM, echo_port);
    long done = 0, lost = 0;
    int pending = 0;
    double start = now(), end = start + seconds;
    for (;;) {
        while (pending < outstanding) {
            send(fd, data, message, 0);
            pending++;
        }
        if (recv(fd, data, sizeof data, 0) == message) {
            pending--;
            if (!(++done & 63) && now() >= end) {
                break;
            }
        } else {
            lost += pending;
            pending = 0;
            if (now() >= end) {
                break;
            }
        }
    }
    printf("%.0f %ld\n", done / (now() - start), lost);
}

static void tcp_echo(double seconds) {
    int fd = open_socket(SOCK_STREAM, echo_port);
    long done = 0;
    double start = now(), end = start + seconds;
    do {
        if (send(fd, data, message, 0) != message) {
            fail("send");
        }
        for (int n = 0; n < message;) {
            int k = recv(fd, data, message - n, 0);
            if (k <= 0) {
                fail("recv");
            }
            n += k;
        }
        done++;
    } while ((done & 63) || now() < end);
    printf("%.0f 0\n", done / (now() - start));
    close(fd);
}

static void tcp_sink(double seconds) {
    int fd = open_socket(SOCK_STREAM, sink_port);
    long long bytes = 0;
    double start = now(), end = start + seconds;
    do {
        int n = send(fd, data, sizeof data, 0);
        if (n <= 0) {
            fail("send");
        }
        bytes += n;
    } while (now() < end);
    shutdown(fd, SHUT_WR);
    if (recv(fd, data, sizeof data, 0) != 0) {
        fail("recv"); /* the server closes when it has all */
    }
    printf("%.3f 0\n", bytes / 1e6 / (now() - start));
    close(fd);
}

static void tcp_source(double seconds) {
    int fd = open_socket(SOCK_STREAM, source_port);
    long long bytes = 0;
    double start = now(), end = start + seconds;
    do {
        int n = recv(fd, data, sizeof data, 0);
        if (n <= 0) {
            fail("recv");
        }
        bytes += n;
    } while (now() < end);
    printf("%.3f 0\n", bytes / 1e6 / (now() - start));
    struct linger hard = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}

static void tcp_connections(double seconds) {
    long done = 0;
    double start = now(), end = start + seconds;
    do {
        int fd = open_socket(SOCK_STREAM, echo_port);
        shutdown(fd, SHUT_WR);
        if (recv(fd, data, sizeof data, 0) != 0) {
            fail("recv");
        }
        close(fd);
        done++;
    } while (now() < end);
    printf("%.0f 0\n", done / (now() - start));
}

/* The server: one thread, as the others have. */

static int bound(int type, int port) {
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    server.sin_port = htons(port);
    if (fd < 0 || bind(fd, (struct sockaddr *)&server, sizeof server)) {
        fail("bind");
    }
    if (type == SOCK_STREAM && listen(fd, 16)) {
        fail("listen");
    }
    return fd;
}

static void serve(void) {
    enum { most = 32 };
    struct pollfd fds[most];
    int ports[most];
    int n = 4;
    fds[0].fd = bound(SOCK_DGRAM, echo_port);
    ports[1] = echo_port;
    ports[2] = sink_port;
    ports[3] = source_port;
    for (int i = 1; i < 4; i++) {
        fds[i].fd = bound(SOCK_STREAM, ports[i]);
    }
    for (int i = 0; i < 4; i++) {
        fds[i].events = POLLIN;
    }
    for (;;) {
        poll(fds, n, -1);
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t k;
        while ((k = recvfrom(fds[0].fd, data, sizeof data, 0, (struct sockaddr *)&from, &size)) > 0) {
            sendto(fds[0].fd, data, k, 0, (struct sockaddr *)&from, size);
        }
        for (int i = n - 1; i >= 4; i--) {
            if (!fds[i].revents) {
                continue;
            }
            if (ports[i] == source_port) {
                k = send(fds[i].fd, data, sizeof data, MSG_NOSIGNAL);
            } else {
                k = recv(fds[i].fd, data, sizeof data, 0);
                if (k > 0 && ports[i] == echo_port) {
                    send(fds[i].fd, data, k, MSG_NOSIGNAL);
                }
            }
            if (k == 0 || (k < 0 && errno != EAGAIN)) {
                close(fds[i].fd);
                n--;
                fds[i] = fds[n];
                ports[i] = ports[n];
            }
        }
        for (int i = 1; i < 4; i++) {
            int fd;
            while (n < most && (fd = accept4(fds[i].fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                int on = 1;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                fds[n].fd = fd;
                fds[n].events = ports[i] == source_port ? POLLOUT : POLLIN;
                fds[n].revents = 0;
                ports[n] = ports[i];
                n++;
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_addr.s_addr = inet_addr(argv[2]);
    if (!strcmp(argv[1], "serve")) {
        serve();
    }
    double seconds = argc > 3 ? atof(argv[3]) : 1;
    if (!strcmp(argv[1], "udp_echo_1")) {
        udp_echo(1, seconds);
    } else if (!strcmp(argv[1], "udp_echo_32")) {
        udp_echo(32, seconds);
    } else if (!strcmp(argv[1], "tcp_echo")) {
        tcp_echo(seconds);
    } else if (!strcmp(argv[1], "tcp_sink")) {
        tcp_sink(seconds);
    } else if (!strcmp(argv[1], "tcp_source")) {
        tcp_source(seconds);
    } else if (!strcmp(argv[1], "tcp_connections")) {
        tcp_connections(seconds);
    } else {
        return 2;
    }
    return 0;
}
