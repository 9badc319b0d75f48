package roster

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// fileMagic begins the file in which an edge keeps its list.
const fileMagic = "hedgerow members 1\n"

// MaxRolls is how many keys that followed revocations are kept: whoever was away for more
// of them needs the latest alone.
const MaxRolls = 8

// MaxFile is the largest file in bytes.
const MaxFile = len(fileMagic) + 1 + MaxSize + MaxRolls*rollSize

// rollSize is the size of a KEYUPDATE with its type and length.
const rollSize = 3 + 122

// File is what an edge keeps: the newest list, and the keys that followed revocations,
// the latest last. It holds keys: whoever reads it reads the community's frames.
type File struct {
	List  *List // nil: none
	Rolls []protocol.KeyUpdate
}

// Append appends the file to dst.
func (f *File) Append(dst []byte) []byte {
	dst = append(append(dst, fileMagic...), byte(len(f.Rolls)))
	for i := range f.Rolls {
		dst = f.Rolls[i].Append(dst)
	}
	if f.List != nil {
		dst = f.List.Append(dst)
	}
	return dst
}

// ParseFile reads what File.Append writes, and verifies every signature.
func ParseFile(c *crypto.Community, b []byte) (f File, err error) {
	b, ok := bytes.CutPrefix(b, []byte(fileMagic))
	if !ok || len(b) == 0 {
		return f, errors.New("it is no list of members")
	}
	n := int(b[0])
	b = b[1:]
	if n > MaxRolls {
		return f, protocol.ErrTooMany
	}
	for range n {
		typ, value, rest, err := protocol.NextTLV(b)
		if err != nil || protocol.MsgType(typ) != protocol.MsgKeyUpdate {
			return f, fmt.Errorf("%w: no key", protocol.ErrShort)
		}
		m, err := protocol.ParseKeyUpdate(value)
		if err == nil {
			err = VerifyRoll(c, &m)
		}
		if err != nil {
			return f, err
		}
		if !f.Add(m) {
			return f, ErrOrder
		}
		b = rest
	}
	if len(b) == 0 {
		return f, nil
	}
	if f.List, b, err = Parse(c, b); err == nil && len(b) > 0 {
		err = protocol.ErrLength
	}
	return f, err
}

// Keys returns the version of the latest key, 0: there is none.
func (f *File) Keys() uint64 {
	if len(f.Rolls) == 0 {
		return 0
	}
	return f.Rolls[len(f.Rolls)-1].Version
}

// Add adds a verified key if it is newer than all before, and reports whether it is. The
// oldest goes when there are more than MaxRolls.
func (f *File) Add(m protocol.KeyUpdate) bool {
	if m.Version <= f.Keys() {
		return false
	}
	f.Rolls = append(slices.Clone(f.Rolls), m)
	f.Rolls = f.Rolls[max(0, len(f.Rolls)-MaxRolls):]
	return true
}

// Epochs returns the epochs of the keys.
func (f *File) Epochs() (list []crypto.Epoch) {
	for _, m := range f.Rolls {
		list = append(list, crypto.Epoch{
			Index: m.KI, From: moment(m.From), Until: moment(m.Until), Key: m.Key, Transform: crypto.TransformAuto, Roll: true,
		})
	}
	return list
}

// SignRoll makes a KEYUPDATE of an epoch, for the list with a serial, and signs it.
func SignRoll(by *crypto.Authority, cid [16]byte, serial uint64, e crypto.Epoch) protocol.KeyUpdate {
	m := protocol.KeyUpdate{Version: serial, KI: e.Index, From: seconds(e.From), Until: seconds(e.Until), Key: e.Key}
	m.Sig = by.SignKeyUpdate(cid, m.AppendSigned(nil))
	return m
}

// VerifyRoll checks that a KEYUPDATE is signed by a community's authority and has a key
// that can be used. It fails with crypto.ErrAuthority and protocol.ErrValue.
func VerifyRoll(c *crypto.Community, m *protocol.KeyUpdate) error {
	if err := c.VerifyKeyUpdate(m.AppendSigned(nil), m.Sig); err != nil {
		return err
	}
	if m.Key == [32]byte{} || m.Key == c.Secret || m.From == 0 || m.Until != 0 && m.Until <= m.From || m.Version == 0 {
		return protocol.ErrValue
	}
	return nil
}

// How many pieces of a list a member, or a supernode, gives to one that asks, a second and at
// once.
const PiecesRate, PiecesBurst = 128, 256

// rollLeast is how long a KEYUPDATE may take that goes with a short list: it is sent four times
// by then, if it is not acknowledged.
const rollLeast = 4 * time.Second

// RollAhead returns how long before its start a key that follows a revocation is sent to those
// who stay, with a list of so many entries: all of them have it before the first one sends
// under it. A member hands the key on once it has the whole list.
func RollAhead(entries int) time.Duration {
	pieces := (entries + protocol.PieceEntries - 1) / protocol.PieceEntries
	return rollLeast + time.Duration(max(0, pieces-PiecesBurst))*time.Second/PiecesRate
}
