"""Error numbers: Linux's, on every board, since many firmwares' errno lacks most of them."""

EPERM = 1
ENOENT = 2
EIO = 5
EAGAIN = 11
ENOMEM = 12
EBUSY = 16
EINVAL = 22
EPIPE = 32
EDESTADDRREQ = 89
EMSGSIZE = 90
EADDRINUSE = 98
EADDRNOTAVAIL = 99
ENETUNREACH = 101
ECONNABORTED = 103
ECONNRESET = 104
EISCONN = 106
ENOTCONN = 107
ETIMEDOUT = 110
ECONNREFUSED = 111
EHOSTUNREACH = 113
EALREADY = 114
EINPROGRESS = 115

NAMES = {number: name for name, number in globals().items() if name[0] == "E"}
