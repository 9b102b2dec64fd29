# SPDX-License-Identifier: Apache-2.0


class Counting:
    """Of an end of python3-websockets: the bytes that it wrote and heard since they were last set to 0."""

    def connection_made(self, transport):
        self.heard = self.said = 0
        write = transport.write

        def counted(data):
            self.said += len(data)
            write(data)

        transport.write = counted
        super().connection_made(transport)

    def data_received(self, data):
        self.heard += len(data)
        super().data_received(data)
