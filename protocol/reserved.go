package protocol

// Messages that have a number and no layout yet (PROTOCOL.md, section 9). An edge
// sends one only to a peer that has announced the Feature that goes with it; whoever
// does not know one skips it, as it does any other unknown type below 0x80.
const (
	// MsgSecretKey, MsgSecretText and MsgSecretDone are a second key exchange inside
	// a session: a public key, a ciphertext for it, and that both have its secret.
	MsgSecretKey  MsgType = 0x18
	MsgSecretText MsgType = 0x19
	MsgSecretDone MsgType = 0x1a
	// MsgPaths tells what uplinks the sender has, and MsgRepair what a receiver of
	// frames with forward error correction lost.
	MsgPaths  MsgType = 0x1c
	MsgRepair MsgType = 0x1d
)

// Features that are reserved for what the messages above are for. An edge of this
// version announces none of them.
const (
	// FeatureSecret goes with a second key exchange.
	FeatureSecret = 64
	// FeaturePaths goes with path numbers in the header of DATA.
	FeaturePaths = 128
	// FeatureRepair goes with forward error correction.
	FeatureRepair = 256
)

// RespIgnored are the flags of a RESP that a receiver ignores where it does not know
// them. With another unknown flag the RESP is refused.
const RespIgnored = 0xf0
