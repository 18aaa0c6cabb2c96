metadata(
    description="A heap-averse TCP/IP stack",
    version="0.1.0",
    license="MIT",
    author="smolmpy contributors",
)

package("smolmpy", opt=3)
