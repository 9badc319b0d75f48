package crypto

import "encoding/hex"

// smallOrderStatics are the X25519 public keys, without their top bit, with which
// every agreement ends in zeros (RFC 7748, section 6.1; section 5 has the top bit
// ignored): the points of order 1, 2, 4 and 8 on the curve and on its twist, and the
// encodings of the first ones that are not reduced.
var smallOrderStatics = keyTable(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

// smallOrderIDs are the Ed25519 public keys, without the sign bit, whose points have
// order 1, 2, 4 or 8, reduced or not. A signature that verifies for any message is
// easily made for each of them.
var smallOrderIDs = keyTable(
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)

// UsableStatic reports whether an X25519 public key may be somebody's static key:
// whether agreements with it are secret. Ask it wherever such a key is taken from the
// network, from a file or from the user. The keys are public, so the time that it takes
// tells nothing.
func UsableStatic(key [32]byte) bool {
	key[31] &= 0x7f
	return !smallOrderStatics[key]
}

// UsableID reports whether an Ed25519 public key may be somebody's identity, a
// rendezvous key or an authority: whether only the holder of the private key signs for
// it.
func UsableID(key [32]byte) bool {
	key[31] &= 0x7f
	return !smallOrderIDs[key]
}

// keyTable returns a set of keys in hexadecimal.
func keyTable(list ...string) map[[32]byte]bool {
	set := make(map[[32]byte]bool, len(list))
	for _, text := range list {
		b, err := hex.DecodeString(text)
		if err != nil {
			panic("crypto: " + err.Error()) // our own bug
		}
		set[[32]byte(b)] = true
	}
	return set
}
