#!/usr/bin/env python3
"""Reads a capture of hedgerow's traffic with nothing but the community's file.

    decode.py [--supernode HOST:PORT=KEY]... COMMUNITY-FILE CAPTURE.pcap

It is a second implementation of docs/PROTOCOL.md, made from that page and sharing
no code with the first, so that each checks the other. For every datagram it prints
one line of JSON: what the packet is, and what is in it. The file of a community is
enough for the header mask, for GROUP packets and what is in them, and for NOTICE; a
supernode's public key, which is given or learnt from a WELCOME in the capture, for
the headers of hops and the veil. What two ends agree on in a handshake, the keys of
DATA and of hop control, dies with them: of those packets it shows the header.

It needs Python 3.9 and the package "cryptography" (Debian: python3-cryptography)."""
import argparse
import base64
import hashlib
import ipaddress
import json
import struct
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = b"hedgerow/1 "
TYPES = {1: "INIT", 2: "RESP", 3: "COOKIE", 4: "DATA", 5: "GROUP", 6: "RELAY", 7: "RESET", 8: "NOTICE", 9: "HELLO",
         10: "WELCOME"}
LENGTHS = {1: 192, 2: 128, 3: 72, 7: 32, 8: 48, 9: 96, 10: 96}
BODIES = (1, 2, 3, 8, 9, 10)  # bytes 16 to length-16 are masked
PAD = 65536 + 2048


# Section 1: keys.

def kdf(secret, salt, label, n):
    return HKDF(hashes.SHA256(), n, salt or None, P + label).derive(secret)


def digest(label):
    return hashlib.sha256(P + label).digest()


class Community:
    """What the community's file says, and what follows from it."""

    def __init__(self, path):
        self.epochs = {}
        name = ""
        authority = None
        with open(path, encoding="utf-8") as f:
            lines = [line.strip() for line in f]
        if lines[0] != "hedgerow community 1":
            raise SystemExit(f"{path} is no community file")
        for line in lines[1:]:
            if line.startswith("epoch "):
                _, index, _, _, _, key = line.split()
                self.epochs[int(index)] = base64.b64decode(key)
            elif line.startswith("name = "):
                name = line[len("name = "):]
            elif line.startswith("secret = "):
                self.secret = base64.b64decode(line[len("secret = "):])
            elif line.startswith("authority = "):
                authority = base64.b64decode(line[len("authority = "):])
        signing = Ed25519PrivateKey.from_private_bytes(kdf(self.secret, b"", b"rendezvous signing key", 32))
        rpk = signing.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        room = digest(b"name" + name.encode())
        if authority is not None:
            room = digest(b"room" + room + authority)
        self.cid = digest(b"community id" + room + rpk)[:16]
        self.mask = Mask(kdf(self.secret, b"", b"mask edge", 16))
        self.tag = int.from_bytes(kdf(self.secret, b"", b"community tag", 4), "big")
        self.notice = kdf(self.secret, b"", b"notice", 32)

    def group_key(self, salt, xf, ki):
        return kdf(self.epochs[ki], salt, b"group key" + bytes([xf, ki]) + self.cid, 32)

    def sender_tag(self, static):
        return kdf(self.secret, b"", b"sender tag" + static, 8)


# Section 5: mask, and section 3: veil.

def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def chacha20(key, nonce, n):
    return Cipher(algorithms.ChaCha20(key, bytes(4) + nonce), mode=None).encryptor().update(bytes(n))


class Mask:
    def __init__(self, key):
        self.key, self.body, self.pad = key, kdf(key, b"", b"mask body", 32), None
        self.cipher = algorithms.AES(key)

    def block(self, b):
        return Cipher(self.cipher, modes.ECB()).encryptor().update(b)

    def show(self, pkt):
        last = pkt[-16:]
        out = bytearray(pkt)
        out[:16] = xor(out[:16], self.block(last))
        if out[0] & 31 == 5 and len(pkt) >= 48:
            out[16:32] = xor(out[16:32], self.block(last[:15] + bytes([last[15] ^ 1])))
        if out[0] & 31 in BODIES:
            out[16:-16] = xor(out[16:-16], chacha20(self.body, last[:12], len(pkt) - 32))
        return bytes(out)

    def unveil(self, hdr, packet):
        if self.pad is None:
            self.pad = chacha20(kdf(self.key, b"", b"veil pad", 32), bytes(12), 2 * PAD)
        e = self.block(hdr)
        packet = xor(packet, self.pad[int.from_bytes(e[:2], "big"):])
        if hdr[3] & 2:  # a copy of a flood
            packet = xor(packet, self.pad[PAD + int.from_bytes(e[2:4], "big"):])
        return packet


HELLO = Mask(kdf(b"", b"", b"mask hello", 16))


class Header:
    """Section 2. ok says that a receiver of version 1 goes on with it."""

    def __init__(self, pkt):
        first, self.xf, self.ki, self.fl, self.rx, self.ctr = struct.unpack(">BBBBIQ", pkt[:16])
        self.version, self.type = first >> 5, first & 31
        self.ok = self.version == 1 and self.type in TYPES and self.fl & ~3 == 0 and len(pkt) == LENGTHS.get(
            self.type, len(pkt))

    def say(self):
        out = dict(type=TYPES[self.type], xf=self.xf, ki=self.ki, fl=self.fl, rx=f"{self.rx:08x}", ctr=self.ctr)
        if self.type in (1, 9, 10):
            out["older"] = self.ctr == 0  # of before version 1 was final
        return out


class Decoder:
    def __init__(self, community):
        self.c = community
        self.supernodes = {}  # by (address, port): Mask and public key
        self.members = {}     # by X25519 key: identity, from statements
        self.inits = {}       # mac1 by index, for NOTICE
        self.pieces = {}      # by salt and number of the first piece

    def learn(self, at, key):
        self.supernodes[at] = (Mask(kdf(key, b"", b"mask supernode", 16)), key)

    def datagram(self, source, target, b):
        """Which packet is it? Section 5."""
        if len(b) >= 20 and b[0] < 64 and b[4:8] == b"\x21\x12\xa4\x42" and int.from_bytes(b[2:4], "big") + 20 == len(b):
            return dict(type="STUN")
        if {source[1], target[1]} & {1900, 5350, 5351}:
            return dict(type="ROUTER")  # UPnP, PCP and NAT-PMP: an edge asks its router for a port
        if len(b) < 32 or len(b) > 2048:
            return dict(type="?", why="length")
        if source in self.supernodes or target in self.supernodes:
            mask = self.supernodes.get(source) or self.supernodes[target]
            pkt = mask[0].show(b)
            h = Header(pkt)
            if h.ok and h.xf == 0x20:
                return self.hop(h, pkt, mask[0], source in self.supernodes)
        if len(b) == 96:
            pkt = HELLO.show(b)
            h = Header(pkt)
            if h.ok and h.type in (9, 10) and h.xf == 0x20:
                return self.greeting(h, pkt, source)
        pkt = self.c.mask.show(b)
        h = Header(pkt)
        if not h.ok:
            return dict(type="?", why="no mask fits")
        return self.between(h, pkt)

    def greeting(self, h, pkt, source):
        out = h.say()
        if h.type == 10:
            self.learn(source, pkt[32:64])
            out.update(key=base64.urlsafe_b64encode(pkt[32:64]).decode().rstrip("="))
        return out

    def hop(self, h, pkt, mask, from_supernode):
        out = h.say()
        if h.type == 6 and len(pkt) >= 64:
            packet = pkt[32:]
            if from_supernode:
                packet = mask.unveil(pkt[:16], packet)
            inner = self.c.mask.show(packet)
            ih = Header(inner)
            out.update(handle=f"{h.ctr >> 32:08x}", counter=h.ctr & 0xffffffff, veiled=from_supernode)
            out["packet"] = self.between(ih, inner) if ih.ok else dict(type="?", why="not of this community")
        return out

    def between(self, h, pkt):
        """A packet between edges."""
        out = h.say()
        if h.type == 1:
            self.inits[h.rx] = pkt[160:176]
            out.update(self.addressee(pkt))
        elif h.type == 2:
            out.update(index=f"{h.ctr >> 32:08x}")
        elif h.type == 5:
            out.update(self.group(h, pkt))
        elif h.type == 8:
            n = pkt[16]
            mac = hashlib.blake2s(pkt[:32] + self.inits.get(h.rx, b""), key=self.c.notice, digest_size=16).digest()
            out.update(indices=list(pkt[17:17 + min(n, 8)]), valid=h.rx in self.inits and mac == pkt[32:])
        return out

    def addressee(self, init):
        """For whom is an INIT? mac1 is keyed by the responder's static key."""
        for static, identity in self.members.items():
            key = hashlib.blake2s(P + b"mac1" + static).digest()
            if hashlib.blake2s(init[:160], key=key, digest_size=16).digest() == init[160:176]:
                return {"for": identity}
        return {}

    def group(self, h, pkt):
        """Section 3, GROUP."""
        if len(pkt) < 56 or h.rx != self.c.tag:
            return dict(error="tag")
        salt, sealed = pkt[16:32], pkt[32:-8]
        out = dict(salt=salt.hex(), made=int.from_bytes(salt[:4], "big"), sender=self.sender(salt[8:]))
        try:
            if h.xf == 0:
                inner = sealed[:-16]
            elif h.xf in (1, 2) and h.ki in self.c.epochs:
                aead = (ChaCha20Poly1305 if h.xf == 1 else AESGCM)(self.c.group_key(salt, h.xf, h.ki))
                inner = aead.decrypt(bytes(4) + pkt[8:16], sealed, pkt[:32])
            else:
                return dict(out, error="no such epoch or transform")
        except InvalidTag:
            return dict(out, error="does not open")
        out.update(self.inner(inner, salt, h.ctr))
        return out

    def sender(self, tag):
        for static, identity in self.members.items():
            if self.c.sender_tag(static) == tag:
                return identity
        return "tag " + tag.hex()

    def inner(self, inner, salt, ctr):
        """Section 3, the inner, as it may be in a GROUP packet."""
        if not inner:
            return dict(error="empty inner")
        b0, at, end = inner[0], 1, len(inner)
        kind, form, partial, padded = b0 >> 6, b0 >> 4 & 3, b0 >> 3 & 1, b0 >> 2 & 1
        if b0 & 3 or kind == 1 or form or (partial and kind):
            return dict(error=f"inner {b0:#04x}")
        if padded:
            end -= int.from_bytes(inner[-2:], "big")
        at += 2 * partial
        body = inner[at:end]
        if kind == 0:
            return dict(frame=self.frame(body))
        if kind == 2:
            return dict(messages=self.messages(body))
        return self.piece(body, salt, ctr)

    def piece(self, body, salt, ctr):
        index, last = body[0] & 127, body[0] >> 7
        run = self.pieces.setdefault((salt, ctr - index), {})
        run[index] = (last, body[1:])
        out = dict(piece=index, last=bool(last))
        ends = [i for i, (is_last, _) in run.items() if is_last]
        if ends and len(run) == ends[0] + 1:
            whole = b"".join(run[i][1] for i in sorted(run))
            del self.pieces[(salt, ctr - index)]
            out["whole"] = self.inner(whole, salt, ctr)
        return out

    @staticmethod
    def frame(b):
        mac = ":".join(f"{x:02x}" for x in b[6:12])
        to = ":".join(f"{x:02x}" for x in b[:6])
        return dict(dst=to, src=mac, ethertype=b[12:14].hex(), length=len(b), payload=b[14:].hex())

    def messages(self, body):
        """Section 8. Only ANNOUNCE travels in GROUP packets."""
        out = []
        while len(body) >= 3:
            typ, n = body[0], int.from_bytes(body[1:3], "big")
            value, body = body[3:3 + n], body[3 + n:]
            m = dict(message=f"{typ:02x}", length=n)
            if typ == 0x30 and n == 168:
                m.update(self.statement(value[:166]), port=int.from_bytes(value[166:], "big"))
            out.append(m)
        return out

    def probe(self, b):
        """Section 12: behind the Ethernet header."""
        if len(b) < 208 or b[:4] != b"hgpr" or b[4] != 1:
            return dict(type="PROBE", error="another version, or none of ours")
        state, flags, tag, boot, seq, ki, _, priority, forwarder, age = struct.unpack(">BHIQIBBHHH", b[5:32])
        states = {1: "listening", 2: "forwarding", 3: "standby", 4: "claiming", 5: "leaving"}
        out = dict(type="PROBE", state=states.get(state, state), isolated=bool(flags & 1), boot=boot, seq=seq, ki=ki, priority=priority,
                   identity=b[32:64].hex(), member=False, signed=False)
        if any(b[96:128]):
            out.update(forwarder=b[96:128].hex(), forwarder_priority=forwarder, age=age)
        if tag != self.c.tag or ki not in self.c.epochs:
            return out
        key = kdf(self.c.epochs[ki], self.c.cid, b"probe" + bytes([ki]), 32)
        out["member"] = hashlib.blake2s(b[:192], key=key, digest_size=16).digest() == b[192:208]
        try:
            Ed25519PublicKey.from_public_bytes(b[32:64]).verify(b[128:192], P + b"probe" + self.c.cid + b[:128])
            out["signed"] = True
        except InvalidSignature:
            pass
        return out

    def statement(self, b):
        """Section 1, a statement: kept if it is signed and of this community."""
        identity, static, cid, mac = b[:32], b[32:64], b[64:80], b[80:86]
        try:
            Ed25519PublicKey.from_public_bytes(identity).verify(b[102:], P + b"statement" + cid + b[:64] + b[80:102])
            good = cid == self.c.cid
        except InvalidSignature:
            good = False
        if good:
            self.members[static] = identity.hex()
        derived = b"\x02" + digest(b"mac" + identity + cid)[:5]
        return dict(identity=identity.hex(), mac=mac.hex(), seq=int.from_bytes(b[86:94], "big"), valid=good,
                    follows=mac == derived)


# The capture.

def pcap(path):
    """Yields the UDP datagrams of a pcap of Ethernet frames, and the probes, whose ends are None."""
    with open(path, "rb") as f:
        data = f.read()
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}.get(data[:4])
    if order is None:
        raise SystemExit(f"{path} is no pcap")
    if struct.unpack(order + "I", data[20:24])[0] != 1:
        raise SystemExit(f"{path} has no Ethernet frames")
    at = 24
    while at + 16 <= len(data):
        n = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        frame, at = data[at + 16:at + 16 + n], at + 16 + n
        if frame[:6] == b"\x03hedge" and frame[12:14] == b"\x88\xb5":
            yield None, None, frame[14:]
            continue
        found = udp(frame)
        if found:
            yield found


def udp(frame):
    kind, b = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and len(b) >= 20 and b[9] == 17 and not int.from_bytes(b[6:8], "big") & 0x3fff:
        size, source, target = (b[0] & 15) * 4, b[12:16], b[16:20]
    elif kind == b"\x86\xdd" and len(b) >= 40 and b[6] == 17:
        size, source, target = 40, b[8:24], b[24:40]
    else:
        return None
    header = b[size:size + 8]
    if len(header) < 8:
        return None
    sp, tp, length, _ = struct.unpack(">HHHH", header)
    return (str(ipaddress.ip_address(source)), sp), (str(ipaddress.ip_address(target)), tp), b[size + 8:size + length]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("community")
    p.add_argument("capture")
    p.add_argument("--supernode", action="append", default=[], metavar="HOST:PORT=KEY", help="its key as 'supernode id' prints it")
    args = p.parse_args()
    d = Decoder(Community(args.community))
    for s in args.supernode:
        at, key = s.split("=", 1)
        host, port = at.rsplit(":", 1)
        d.learn((host.strip("[]"), int(port)), base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)))
    for source, target, b in pcap(args.capture):
        if source is None:
            print(json.dumps(d.probe(b)))
            continue
        out = {"from": f"{source[0]} {source[1]}", "to": f"{target[0]} {target[1]}", "bytes": len(b)}
        out.update(d.datagram(source, target, b))
        print(json.dumps(out))


if __name__ == "__main__":
    sys.exit(main())
