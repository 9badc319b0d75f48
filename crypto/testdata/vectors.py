"""Writes the known-answer vectors of handshakes, sessions, hop tags, GROUP
packets and masks. It is a second implementation of docs/PROTOCOL.md, made from
the page and not from the Go code, so that the two check each other. Run it in
this folder with Python 3 and the package "cryptography"; the tests only read
what it wrote."""
import hashlib, hmac, json, struct
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

P = b"hedgerow/1 "


def fill(name, n):
    """n bytes that look random and are the same at every run."""
    return hashlib.shake_128(b"vector " + name.encode()).digest(n)


def hkdf(secret, salt, info, n):
    return HKDF(hashes.SHA256(), n, salt or None, P + info).derive(secret)


def b2s(data, key=b"", n=32):
    return hashlib.blake2s(data, key=key, digest_size=n).digest()


def header(typ, xf, ki, fl, rx, ctr):
    return struct.pack(">BBBBIQ", 1 << 5 | typ, xf, ki, fl, rx, ctr)


def raw(public):
    return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def nonce(hdr):
    return bytes(4) + hdr[8:]


# Noise, revision 34, sections 4 and 5.
def h_hkdf(ck, material, n):
    temp = hmac.new(ck, material, hashlib.blake2s).digest()
    out, last = [], b""
    for i in range(1, n + 1):
        last = hmac.new(temp, last + bytes([i]), hashlib.blake2s).digest()
        out.append(last)
    return out


class Symmetric:
    def __init__(self, name, prologue):
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else b2s(name)
        self.ck, self.k, self.n = self.h, None, 0
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.h = b2s(self.h + data)

    def mix_key(self, material):
        self.ck, self.k = h_hkdf(self.ck, material, 2)
        self.n = 0

    def mix_key_and_hash(self, material):
        self.ck, temp, self.k = h_hkdf(self.ck, material, 3)
        self.mix_hash(temp)
        self.n = 0

    def seal(self, text):
        out = ChaCha20Poly1305(self.k).encrypt(bytes(4) + struct.pack("<Q", self.n), text, self.h)
        self.n += 1
        self.mix_hash(out)
        return out


def static_of(seed):
    return X25519PrivateKey.from_private_bytes(hkdf(seed, b"", b"x25519", 32))


def dh(private, public):
    return private.exchange(public)


def rotl(x, n):
    return (x << n | x >> 32 - n) & 0xFFFFFFFF


def hchacha(key, n16):
    s = list(struct.unpack("<16I", b"expand 32-byte k" + key + n16))

    def quarter(a, b, c, d):
        for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] = rotl(s[z] ^ s[x], r)

    for _ in range(10):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                  (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*q)
    return struct.pack("<8I", *(s[0:4] + s[12:16]))


def xchacha(key, n24, text, ad):
    return ChaCha20Poly1305(hchacha(key, n24[:16])).encrypt(bytes(4) + n24[16:], text, ad)


def handshake(name, hop, fl, with_cookie):
    seed_i, seed_r = fill(name + " initiator", 32), fill(name + " responder", 32)
    rand_i, rand_r = fill(name + " rand i", 48), fill(name + " rand r", 48)
    cid, psk = fill(name + " cid", 16), bytes(32) if hop else fill(name + " psk", 32)
    xf, ki = (0x20, 255) if hop else (0x10, 7)
    hdr = header(1, xf, ki, fl, 0x01020304, 0)
    hdr_r = header(2, xf, ki, 0, 0x01020304, 0xA1B2C3D4 << 32)
    payload, payload_r = fill(name + " payload", 48), fill(name + " payload r", 32)
    si, sr = static_of(seed_i), static_of(seed_r)
    ei, er = X25519PrivateKey.from_private_bytes(rand_i[:32]), X25519PrivateKey.from_private_bytes(rand_r[:32])
    pi, pr, pei, per = (raw(k.public_key()) for k in (si, sr, ei, er))
    prologue = P + (b"hop" + bytes(16) if hop else b"pair" + cid) + bytes([1, xf, ki, fl])

    s = Symmetric(b"Noise_IKpsk1+psk2_25519_ChaChaPoly_BLAKE2s", prologue)
    s.mix_hash(pr)
    s.mix_hash(pei)
    s.mix_key(pei)
    s.mix_key(dh(ei, sr.public_key()))
    message = pei + s.seal(pi)
    s.mix_key(dh(si, sr.public_key()))
    s.mix_key_and_hash(psk)
    message += s.seal(payload)
    mac_key = b2s(P + b"mac1" + pr)
    init = hdr + message
    init += b2s(init, mac_key, 16)
    cookie = fill(name + " cookie", 16)
    init += b2s(init, cookie, 16) if with_cookie else rand_i[32:]

    s.mix_hash(per)
    s.mix_key(per)
    s.mix_key(dh(er, ei.public_key()))
    s.mix_key(dh(er, si.public_key()))
    s.mix_key_and_hash(psk)
    resp = hdr_r + per + s.seal(payload_r)
    resp += b2s(resp, mac_key, 16) + rand_r[32:]
    there, back = h_hkdf(s.ck, b"", 2)

    hdr_c, n24 = header(3, xf, ki, 0, 0x01020304, 0), fill(name + " nonce", 24)
    cookie_packet = hdr_c + n24 + xchacha(b2s(P + b"cookie" + pr), n24, cookie, init[160:176])
    return dict(name=name, hop=hop, withCookie=with_cookie, cid=cid, psk=psk, initiatorSeed=seed_i, responderSeed=seed_r,
                initiatorRand=rand_i, responderRand=rand_r, initHeader=hdr, initPayload=payload, init=init,
                respHeader=hdr_r, respPayload=payload_r, resp=resp, there=there, back=back, hash=s.h,
                cookie=cookie, cookiePacket=cookie_packet)


def data(name, xf, n, ctr):
    split = fill(name, 32)
    key = hkdf(split, b"", b"data" + bytes([xf]), 32)
    hdr, inner = header(4, xf, 9, 0, 0xCAFEBABE, ctr), fill(name + " inner", n)
    aead = (ChaCha20Poly1305 if xf == 0x10 else AESGCM)(key)
    return dict(name=name, xf=xf, ki=9, split=split, header=hdr, inner=inner,
                packet=hdr + aead.encrypt(nonce(hdr), inner, hdr))


def hop_control(name, n, ctr):
    split = fill(name, 32)
    hdr, inner = header(4, 0x20, 255, 0, 0xCAFEBABE, ctr), fill(name + " inner", n)
    sealed = ChaCha20Poly1305(hkdf(split, b"", b"hop ctl", 32)).encrypt(nonce(hdr), inner, hdr)
    return dict(name=name, split=split, header=hdr, inner=inner, packet=hdr + sealed)


def hop_relay(name, n, handle, counter):
    split = fill(name, 32)
    hdr, inner = header(6, 0x20, 255, 1, 0xCAFEBABE, handle << 32 | counter), fill(name + " inner", n)
    tag = AESGCM(hkdf(split, b"", b"hop tag", 16)).encrypt(nonce(hdr), b"", hdr + struct.pack(">H", n) + inner[-16:])
    return dict(name=name, split=split, header=hdr, inner=inner, packet=hdr + tag + inner)


def group(name, xf, n, ctr, unix):
    secret, key, salt_rand = fill(name + " secret", 32), fill(name + " key", 32), fill(name + " salt", 4)
    static = fill(name + " static", 32)
    rsk = Ed25519PrivateKey.from_private_bytes(hkdf(secret, b"", b"rendezvous signing key", 32))
    nh = hashlib.sha256(P + b"name" + name.encode()).digest()
    cid = hashlib.sha256(P + b"community id" + nh + raw(rsk.public_key())).digest()[:16]
    tag = int.from_bytes(hkdf(secret, b"", b"community tag", 4), "big")
    salt, ki = struct.pack(">I", unix) + salt_rand + hkdf(secret, b"", b"sender tag" + static, 8), 3
    sub = hkdf(key, salt, b"group key" + bytes([xf, ki]) + cid, 32)
    hdr, inner = header(5, xf, ki, 0, tag, ctr), fill(name + " inner", n)
    aead = (ChaCha20Poly1305 if xf == 1 else AESGCM)(sub)
    return dict(name=name, xf=xf, ki=ki, secret=secret, key=key, static=static, unix=unix, saltRand=salt_rand, header=hdr,
                inner=inner, packet=hdr + salt + aead.encrypt(nonce(hdr), inner, hdr + salt) + fill(name + " tail", 8))


def veil(name, n, fl):
    key = fill("mask key", 16)
    pad = Cipher(algorithms.ChaCha20(hkdf(key, b"", b"veil pad", 32), bytes(16)), mode=None).encryptor().update(bytes(2 * (65536 + 2048)))
    hdr, tag, packet = header(6, 0x20, 255, fl, 0x11223344, 0xDEADBEEF << 32 | 5), fill(name + " tag", 16), fill(name, n)
    e = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(hdr)
    veiled = xor(packet, pad[int.from_bytes(e[:2], "big"):])
    if fl & 2:
        veiled = xor(veiled, pad[65536 + 2048 + int.from_bytes(e[2:4], "big"):])
    return dict(name=name, key=key, packet=hdr + tag + packet, veiled=hdr + tag + veiled)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def mask(name, typ, n):
    key = fill("mask key", 16)
    pkt = header(typ, 0x10, 1, 0, 0x11223344, 5) + fill(name, n - 16)
    last, body = pkt[-16:], hkdf(key, b"", b"mask body", 32)
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    out = bytearray(pkt)
    out[:16] = xor(pkt[:16], aes.update(last))
    if typ == 5:
        out[16:32] = xor(pkt[16:32], aes.update(xor(last, bytes(15) + b"\1")))
    if typ in (1, 2, 3, 8, 9, 10):
        stream = Cipher(algorithms.ChaCha20(body, bytes(4) + last[:12]), mode=None).encryptor()
        out[16:-16] = stream.update(pkt[16:-16])
    return dict(name=name, key=key, packet=pkt, masked=bytes(out))


def derived():
    pub, seed, key = fill("supernode", 32), fill("seed", 32), fill("notice key", 32)
    b, mac1 = fill("notice", 32), fill("mac1", 16)
    return [dict(name="derived", supernode=pub, obfs=b"hush", seed=seed, index=0x0A0B0C0D,
                 supernodeMask=hkdf(pub, b"hush", b"mask supernode", 16),
                 supernodeMaskPlain=hkdf(pub, b"", b"mask supernode", 16),
                 helloMask=hkdf(b"", b"", b"mask hello", 16),
                 resetToken=hkdf(seed, b"", b"reset" + struct.pack(">I", 0x0A0B0C0D), 16),
                 noticeKey=key, notice=b, mac1=mac1, noticeMAC=b2s(b + mac1, key, 16))]


def write(file, vectors):
    text = json.dumps(vectors, indent=1, default=lambda b: b.hex())
    with open(file, "w") as f:
        f.write(text + "\n")


write("handshake.json", [handshake("pair", False, 0, False), handshake("pair with a cookie", False, 0, True),
                         handshake("pair with a flag", False, 1, False), handshake("hop", True, 0, False)])
write("session.json", [data("chacha", 0x10, 100, 0), data("gcm", 0x11, 1371, 0x0123456789), data("gcm keepalive", 0x11, 1, 8191),
                       data("chacha empty", 0x10, 0, 1 << 40)])
write("hopcontrol.json", [hop_control("control", 77, 3), hop_control("control keepalive", 1, 1 << 33)])
write("hoptag.json", [hop_relay("relay", 200, 0xDEADBEEF, 12), hop_relay("relay to all", 48, 0xFFFFFFFF, 0x7FFFFFFF)])
write("group.json", [group("chacha", 1, 64, 0, 1700000000), group("gcm", 2, 1300, 77, 1800000000)])
write("mask.json", [mask("init", 1, 192), mask("resp", 2, 128), mask("cookie", 3, 72), mask("data", 4, 33), mask("data shortest", 4, 32),
                    mask("group", 5, 48), mask("group long", 5, 1400), mask("relay", 6, 80), mask("reset", 7, 32),
                    mask("notice", 8, 48), mask("hello", 9, 96), mask("welcome", 10, 96)])
write("veil.json", [veil("veil", 200, 0), veil("veil shortest", 32, 0), veil("veil longest", 2016, 0), veil("veil of a flood", 300, 2)])
write("derived.json", derived())
