"""Writes golden.txt: the placement of waypost-ring, computed a second time without its code.

Run it in this directory: python3 golden.py > golden.txt
"""

from decimal import Decimal, getcontext
from fractions import Fraction

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


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def position(salt, key):
    return siphash24(b"waypost ring key", fields(salt, key))


def number(salt, member, n):
    """Number n of a member, which is its name, its weight and how many before it have the same name."""
    name, _, occurrence = member
    told_apart = [occurrence.to_bytes(4, "little")] if occurrence else []
    return siphash24(b"waypost ringnode", fields(salt, name, *told_apart, n.to_bytes(4, "little")))


def ring(virtual_nodes, probes):
    def orders(salt, members, keys):
        places = {m: [number(salt, m, n) for n in range(virtual_nodes * m[1])] for m in members}
        for key in keys:
            start = position(salt, key)
            points = [mix((start + n * 0x9E3779B97F4A7C15) & MASK) for n in range(1, probes + 1)]
            nearest = {m: min((place - p) & MASK for place in places[m] for p in points) for m in members}
            yield sorted(members, key=lambda m: (nearest[m], m[0], m[2]))

    return f"ring virtual_nodes={virtual_nodes}" + (f" probes={probes}" if probes != 21 else ""), orders


def rendezvous():
    getcontext().prec = 60
    one = 1 << 40
    table = [int((1 + Decimal(i) / 256).ln() / Decimal(2).ln() * one) for i in range(256)] + [one]

    def cost(u):
        u |= 1
        exponent = u.bit_length() - 1
        entry, rest = divmod(((u << 64 - exponent) & MASK) >> 25, 1 << 31)
        fraction = table[entry] + ((table[entry + 1] - table[entry]) * rest >> 31)
        return (64 - exponent) * one - fraction

    def orders(salt, members, keys):
        for key in keys:
            hashes = {m: mix(position(salt, key) ^ number(salt, m, 0)) for m in members}
            yield sorted(members, key=lambda m: (Fraction(cost(hashes[m]), m[1]), -hashes[m], m[0], m[2]))

    return "rendezvous", orders


def maglev():
    size = 65537

    def orders(salt, members, keys):
        ranked = sorted(members, key=lambda m: (m[0], m[2]))
        heaviest = max(m[1] for m in members)
        first = [number(salt, m, 0) * size >> 64 for m in ranked]
        step = [1 + (number(salt, m, 1) * (size - 1) >> 64) for m in ranked]
        n_claims, n_turns = [0] * len(ranked), [0] * len(ranked)
        table, n_free, round_number = [None] * size, size, 0
        while n_free:
            for i, member in enumerate(ranked):
                if n_free == 0 or round_number * member[1] < n_turns[i] * heaviest:
                    continue
                while True:
                    slot = (first[i] + n_claims[i] * step[i]) % size
                    n_claims[i] += 1
                    if table[slot] is None:
                        break
                table[slot] = member
                n_turns[i] += 1
                n_free -= 1
            round_number += 1
        for key in keys:
            start = position(salt, key)
            slot, step = start * size >> 64, 1 + (mix(start) * (size - 1) >> 64)
            yield list(dict.fromkeys(table[(slot + n * step) % size] for n in range(size)))

    return "maglev", orders


def names(*members):
    return weighted(*((name, 1) for name in members))


def weighted(*members):
    """Members with the number of those before them that have the same name."""
    encoded = [(name.encode(), weight) for name, weight in members]
    return [(name, weight, [m[0] for m in encoded[:i]].count(name)) for i, (name, weight) in enumerate(encoded)]


assert siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5  # from the paper

KEYS = [
    "192.168.1.100", "192.168.1.100|443", "192.168.1.100|streaming", "10.0.0.1|example.com", "example.com", "", "-",
    "2001:db8::1|8443", "172.16.0.1|geosite-netflix|netflix.com", "test-key", "k" * 300, "пример.рф",
]
def label(member):
    name, _, occurrence = member
    return name.decode() + (f"#{occurrence}" if occurrence else "")


MANY = names(*(f"vless|198.51.100.{i}:443|{i:08x}" for i in range(24)))
NODES = names("node1", "node2", "node3", "node4")
WEIGHTED = weighted(("small", 1), ("large", 5), ("middle", 2))
EQUAL = weighted(("same", 1), ("other", 1), ("same", 2), ("same", 1))
PLACEMENTS = [
    (ring(10, 21), "", names("proxy-a", "proxy-b", "proxy-c")),
    (ring(50, 21), "", names("proxy-a", "proxy-b", "proxy-c")),
    (ring(10, 21), "", NODES),
    (ring(10, 21), "salted", NODES),
    (ring(1, 21), "", names("only")),
    (ring(10, 21), "", WEIGHTED),
    (ring(10, 21), "pool", MANY),
    (ring(10, 1), "", NODES),
    (ring(3, 64), "salted", WEIGHTED),
    (ring(10, 21), "", EQUAL),
    (rendezvous(), "", NODES),
    (rendezvous(), "salted", NODES),
    (rendezvous(), "", WEIGHTED),
    (rendezvous(), "", EQUAL),
    (rendezvous(), "pool", MANY),
    (maglev(), "", NODES),
    (maglev(), "salted", NODES),
    (maglev(), "", WEIGHTED),
    (maglev(), "", EQUAL),
    (maglev(), "pool", MANY),
]

print("# Made by golden.py; see README.md. A change here moves the traffic of users.")
for (title, orders), salt, members in PLACEMENTS:
    print(f"\n{title} salt={salt}")
    for name, weight, _ in members:
        print(f"member {weight} {name.decode()}")
    chosen = orders(salt.encode(), members, [key.encode() for key in KEYS])
    for key, order in zip(KEYS, chosen):
        print(f"key {key}\n  order {' '.join(label(member) for member in order)}")
