package crypto

import (
	"encoding/binary"
	"errors"
	"time"
)

var (
	errPairState  = errors.New("crypto: handed over pair session is damaged")
	errGroupState = errors.New("crypto: handed over salt is damaged")
)

// A handed over pair session is
//
//	local index u32 | remote index u32 | static key 32 | send key 32 | receive key 32 |
//	transform u8 | key index u8 | initiator u8 | in clear u8 | confirmed u8 |
//	failed opens u32 | next counter u64 | packets u32 | window, as of a hop session
const pairStateLen = 4 + 4 + 3*32 + 5 + 4 + 8

// AppendState appends all that another process needs to go on with the session, its keys
// among it, and skips some counters of it. The caller makes sure that nobody uses the
// session meanwhile, and that only one of the two uses it afterwards.
func (s *Session) AppendState(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, s.cfg.Local)
	dst = binary.BigEndian.AppendUint32(dst, s.cfg.Remote)
	dst = append(dst, s.cfg.Static[:]...)
	dst = append(dst, s.cfg.Keys.Send[:]...)
	dst = append(dst, s.cfg.Keys.Recv[:]...)
	dst = append(dst, s.cfg.XF, s.cfg.KI, bit(s.cfg.Initiator), bit(s.cfg.Null), bit(s.confirmed.Load()))
	dst = binary.BigEndian.AppendUint32(dst, s.failed.Load())
	dst = binary.BigEndian.AppendUint64(dst, s.sent.skip(handOverSkip))
	return s.replay.appendState(dst)
}

// RestoreSession makes a session of the beginning of b, which AppendState has written, and
// returns what is behind it. created is when its handshake ended.
func RestoreSession(b []byte, created time.Time) (s *Session, rest []byte, err error) {
	if len(b) < pairStateLen {
		return nil, nil, errPairState
	}
	cfg := SessionConfig{
		Local: binary.BigEndian.Uint32(b), Remote: binary.BigEndian.Uint32(b[4:]),
		Static: [32]byte(b[8:40]), Keys: SplitKeys{Send: [32]byte(b[40:72]), Recv: [32]byte(b[72:104])},
		XF: b[104], KI: b[105], Initiator: b[106] != 0, Null: b[107] != 0, Created: created,
	}
	if s, err = NewSession(cfg); err != nil {
		return nil, nil, err
	}
	s.confirmed.Store(b[108] != 0)
	s.failed.Store(min(binary.BigEndian.Uint32(b[109:]), failedLimit))
	s.sent.next.Store(min(binary.BigEndian.Uint64(b[113:]), s.refuse))
	rest, err = s.replay.restore(b[pairStateLen:])
	return s, rest, err
}

// A handed over sender of GROUP packets is
//
//	salt 16 | key index u8 | transform u8 | serial u64 | next counter u64
const (
	saltStateLen   = saltLen + 1 + 1
	senderStateLen = saltStateLen + 8 + 8
)

// AppendState appends all that another process needs to go on with the salt, but for the key
// of its epoch, and skips some counters. The caller makes sure that only one of the two uses
// it afterwards.
func (g *GroupSender) AppendState(dst []byte) []byte {
	dst = groupSalt{g.salt, g.ki, g.xf}.appendState(dst)
	dst = binary.BigEndian.AppendUint64(dst, g.serial)
	return binary.BigEndian.AppendUint64(dst, g.sent.skip(handOverSkip))
}

// RestoreGroupSender makes a sender of the beginning of b, which AppendState has written, and
// returns what is behind it. It was made at a time by the wall clock. The error says that the
// community has no such epoch, or that the salt names somebody other than static.
func RestoreGroupSender(c *Community, static [32]byte, b []byte, created time.Time) (g *GroupSender, rest []byte, err error) {
	if len(b) < senderStateLen {
		return nil, nil, errGroupState
	}
	key := readSalt(b)
	g = &GroupSender{salt: key.salt, ki: key.ki, xf: key.xf, serial: binary.BigEndian.Uint64(b[saltStateLen:]), created: created}
	g.sent.next.Store(min(binary.BigEndian.Uint64(b[saltStateLen+8:]), refuseGCM))
	epoch, ok := c.epoch(g.ki)
	if !ok || !key.fits(c.Insecure) || key.sender() != c.SenderTag(static) {
		return nil, nil, errGroupState
	}
	g.aead = groupAEAD(c.ID(), epoch, key)
	return g, b[senderStateLen:], nil
}

func (k groupSalt) appendState(dst []byte) []byte {
	return append(append(dst, k.salt[:]...), k.ki, k.xf)
}

// readSalt reads what appendState has written.
func readSalt(b []byte) groupSalt { return groupSalt{[saltLen]byte(b), b[saltLen], b[saltLen+1]} }

// Created returns when the salt was drawn, by the wall clock.
func (g *GroupSender) Created() time.Time { return g.created }

// epoch returns the epoch with a key index.
func (c *Community) epoch(ki uint8) (Epoch, bool) {
	for _, e := range c.Epochs {
		if e.Index == ki {
			return e, true
		}
	}
	return Epoch{}, false
}

// fits reports whether a community, in clear or not, has GROUP packets of the salt's transform.
func (k *groupSalt) fits(null bool) bool {
	if null {
		return k.xf == xfNull
	}
	return k.xf == xfGroupChaCha || k.xf == xfGroupGCM
}
