"""Clients of QUIC and BitTorrent that begin to speak and are ended by whoever started them."""

import socket
import sys
import time


def quic(port, kind):
    """Sends the first flight of a connection to `quic.example` to a port of this machine."""
    from aioquic.quic.configuration import QuicConfiguration
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.packet import QuicProtocolVersion

    versions = {"quic2": QuicProtocolVersion.VERSION_2}
    version = versions.get(kind, QuicProtocolVersion.VERSION_1)
    # Names that make the hello longer than a datagram.
    protocols = [f"protocol-{number:0200}" for number in range(9)] if kind == "quic-long" else ["h3"]
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=protocols,
        server_name="quic.example",
        original_version=version,
        supported_versions=[version],
    )
    connection = QuicConnection(configuration=configuration)
    server = ("127.0.0.1", port)
    connection.connect(server, now=time.time())
    datagrams = [data for data, _ in connection.datagrams_to_send(now=time.time())]
    assert len(datagrams) > 1 or kind != "quic-long", len(datagrams)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for data in datagrams:
            client.sendto(data, server)
        time.sleep(60)


def bittorrent(port, kind):
    """Has libtorrent ask a peer, a tracker or a node of the DHT through a SOCKS server."""
    import libtorrent

    session = libtorrent.session(
        {
            "listen_interfaces": "127.0.0.1:0",
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_dht": kind == "dht",
            "dht_bootstrap_nodes": "192.0.2.8:6881" if kind == "dht" else "",
            "enable_outgoing_tcp": kind == "peer",
            "enable_incoming_tcp": False,
            "enable_outgoing_utp": kind == "utp",
            "enable_incoming_utp": kind == "utp",
            # Handshakes that are encrypted nobody recognises.
            "out_enc_policy": libtorrent.enc_policy.disabled,
            "in_enc_policy": libtorrent.enc_policy.disabled,
            "proxy_type": libtorrent.proxy_type_t.socks5,
            "proxy_hostname": "127.0.0.1",
            "proxy_port": port,
            "proxy_peer_connections": True,
            "proxy_tracker_connections": True,
        }
    )
    link = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567"
    if kind == "tracker":
        link += "&tr=udp%3A%2F%2F192.0.2.9%3A6969%2Fannounce"
    torrent = libtorrent.parse_magnet_uri(link)
    torrent.save_path = "/nonexistent"
    handle = session.add_torrent(torrent)
    begin = time.time()
    while time.time() < begin + 60:
        if kind in ("peer", "utp"):
            handle.connect_peer(("192.0.2.7", 6881))
        time.sleep(0.5)


if __name__ == "__main__":
    (quic if sys.argv[1].startswith("quic") else bittorrent)(int(sys.argv[2]), sys.argv[1])
