"""One instance of a test of MicroPython's tests/multi_net: multitest.py FILE NUMBER SETTINGS.

What such a test expects of its surroundings is the object `multitest`, which speaks with the test
on the other host by lines (tests/test_socket_micropython.py). SETTINGS is Python that sets what
the other instance has made known.
"""

import os
import sys


class multitest:
    @staticmethod
    def flush():
        try:
            sys.stdout.flush()
        except AttributeError:
            pass

    @staticmethod
    def skip():
        print("SKIP")
        raise SystemExit

    @staticmethod
    def next():
        print("NEXT")
        multitest.flush()

    @staticmethod
    def broadcast(message):
        print("BROADCAST", message)
        multitest.flush()

    @staticmethod
    def wait(message):
        while sys.stdin.readline().rstrip() != "BROADCAST " + message:
            pass

    @staticmethod
    def globals(**values):
        for name in values:
            print("SET %s = %r" % (name, values[name]))
        multitest.flush()

    @staticmethod
    def get_network_ip():
        return os.getenv("MULTITEST_IP")

    @staticmethod
    def output_metric(data):
        pass


file, number, settings = sys.argv[1:4]
scope = {"__name__": "multitest", "multitest": multitest}
exec(settings, scope)
os.chdir(file.rsplit("/", 1)[0])  # certificates are beside the tests
with open(file) as f:
    source = f.read()
exec(source, scope)
scope["instance" + number]()
multitest.flush()
