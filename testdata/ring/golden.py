"""Writes golden.txt: the placement of waypost-ring, computed a second time without its code.

Run it in this directory: python3 golden.py > golden.txt
"""

MASK = (1 << 64) - 1


def siphash24(key, data):
    def rotate(x, b):
        return ((x << b) | (x >> (64 - b))) & MASK

    def rounds(n):
        nonlocal v0, v1, v2, v3
        for _ in range(n):
            v0 = (v0 + v1) & MASK; v1 = rotate(v1, 13) ^ v0; v0 = rotate(v0, 32)
            v2 = (v2 + v3) & MASK; v3 = rotate(v3, 16) ^ v2
            v0 = (v0 + v3) & MASK; v3 = rotate(v3, 21) ^ v0
            v2 = (v2 + v1) & MASK; v1 = rotate(v1, 17) ^ v2; v2 = rotate(v2, 32)

    k0, k1 = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) % 256])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return v0 ^ v1 ^ v2 ^ v3


def fields(*parts):
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def probes(salt, key):
    state = siphash24(b"waypost ring key", fields(salt, key))
    for _ in range(21):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def order(salt, virtual_nodes, members, key):
    points = list(probes(salt, key))

    def distance(member):
        name, weight = member
        return min(
            (siphash24(b"waypost ringnode", fields(salt, name, i.to_bytes(4, "little"))) - p) & MASK
            for i in range(virtual_nodes * weight)
            for p in points
        )

    return sorted(members, key=lambda member: (distance(member), member[0]))


def names(*members):
    return [(name.encode(), 1) for name in members]


assert siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5  # from the paper

KEYS = [
    "192.168.1.100", "192.168.1.100|443", "192.168.1.100|streaming", "10.0.0.1|example.com", "example.com", "", "-",
    "2001:db8::1|8443", "172.16.0.1|geosite-netflix|netflix.com", "test-key", "k" * 300, "пример.рф",
]
RINGS = [
    ("", 10, names("proxy-a", "proxy-b", "proxy-c")),
    ("", 50, names("proxy-a", "proxy-b", "proxy-c")),
    ("", 10, names("node1", "node2", "node3", "node4")),
    ("salted", 10, names("node1", "node2", "node3", "node4")),
    ("", 1, names("only")),
    ("", 10, [(b"small", 1), (b"large", 5), (b"middle", 2)]),
    ("pool", 10, names(*(f"vless|198.51.100.{i}:443|{i:08x}" for i in range(24)))),
]

print("# Made by golden.py; see README.md. A change here moves the traffic of users.")
for salt, virtual_nodes, members in RINGS:
    print(f"\nring virtual_nodes={virtual_nodes} salt={salt}")
    for name, weight in members:
        print(f"member {weight} {name.decode()}")
    for key in KEYS:
        chosen = order(salt.encode(), virtual_nodes, members, key.encode())
        print(f"key {key}\n  order {' '.join(name.decode() for name, _ in chosen)}")
