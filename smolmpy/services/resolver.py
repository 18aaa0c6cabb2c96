"""Names for `socket.getaddrinfo`: a DNS client behind `smolmpy.net`.

    from smolmpy import net
    from smolmpy.services import resolver

    dns = resolver.install(net)

From then on `getaddrinfo`, and what connects to a name, asks the servers in `net.dns`, which DHCP
or the program sets. It waits at most `timeout` ms, and lets the interface work meanwhile.
"""

from ..errno import EBUSY, ENOENT
from .dns import DNSClient


def install(net, **options):
    """Makes a `DNSClient` with these options, has `net` use it, and returns it."""
    client = DNSClient(net.iface, net.dns, **options)

    def pump():
        net.rest(20)
        net.pump()

    def resolve(host):
        if net.busy:
            # Within a callback of the stack nothing can be waited for.
            raise OSError(-EBUSY, host)
        client.servers = net.dns
        net.pump()
        try:
            return client.resolve(host, client.timeout, pump)
        except OSError as error:
            # As where getaddrinfo is lwIP's: not an errno, so a negative number (ENOENT is
            # EAI_NONAME there).
            raise OSError(-error.errno, host)
        except ValueError:
            raise OSError(-ENOENT, host)  # no name at all

    net.resolve = resolve
    return client
