"""HTTP/2 with prior knowledge (h2c), and with it gRPC, on the ports that serve HTTP/1.

Both hops terminate HTTP/2: each client connection and each upstream connection is a connection of its own, and a
stream of one is tied to a stream of the other by an exchange, the same word and the same contract (`Dispatcher`,
`Lease`, `Outcome`) as in HTTP/1. So limits, the hold, and balancing count calls, not connections.

The other design relays frames between a client's connection and one upstream connection that belongs to it. Per call
it does less, but it cannot do what this is for: the activator must send each call of a connection to another replica,
a call that waits must not stop those behind it although header blocks depend on their order, headers that belong to
us must be stripped, and one slow call must not take the windows of all. What makes termination affordable:

- A header block that came before, with the decoder's table unchanged, is not decoded: the same bytes mean the same
  request, checked and with the block that forwards it ready made (`connection.Connection`). gRPC repeats its headers
  with every call, so nearly all of them cost one dictionary lookup.
- What we send never uses the peer's dynamic table (`hpack.encode`), so a block is made once for all connections.
- Frames of all streams gather and leave in one write per turn of the event loop (`protocol.Http2Protocol`).
- No task, timer or queue belongs to a stream.

Measured in four rounds (h2load, unary calls of 105 bytes with trailers, limit 100, the proxy on one core of a small
virtual machine, two of the rounds while others used it): 30 to 38 us of CPU per call with 8 connections of 8 streams;
with one stream each 46 and 48 us in quiet rounds, 66 and 70 us in busy ones; a small POST of HTTP/1 39 to 43 us. A
prototype of the relay, measured on another day, needed 33 and 53 us for the same calls, so it would win little if
anything. A header block that is new costs 23 us more, 7 of them for decoding.

A model that speaks HTTP/1 only gets streams translated (`translation`); `Upstream.protocol` says which it is.

Layers, each importing those above it only:

    frames, huffman, hpack, limits, stream    bytes
    sending, connection                       one connection without I/O: windows, states, bounds
    heads, answers                            what fields mean, and answers of our own
    protocol                                  a connection on a transport
    sides                                     what an exchange and its two sides say to each other
    pool, translation, leg_pool               ways to an upstream
    answering, exchange, observed             from the client's stream to the upstream's
    server_connection                         a client's connection, which makes exchanges
"""
