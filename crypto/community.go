// Package crypto holds the keys of communities and of edges, and what is done
// with them: the key schedule and the sources it comes from, handshakes, pair,
// hop and group sessions, replay windows and the header mask (PROTOCOL.md,
// sections 1 to 7).
//
// Headers reach it as bytes and time as an argument; it opens no socket, starts
// no goroutine that outlives a call and logs nothing. Keys: Community, Epoch,
// Schedule, KeySource, Identity, Statement. Packets: Initiation and Reply,
// Guard, Session, HopSession, GroupSender and GroupReceiver, Window, Mask.
package crypto

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
	"unicode"
	"unicode/utf8"
)

// Transform is the identifier of how a packet is sealed: the second byte of
// its header (PROTOCOL.md, section 2).
type Transform = uint8

// The words for an epoch's transform in a community file. Receivers accept both
// transforms in every epoch; the word names the transform that members send.
const (
	TransformAuto   = "auto"              // AES-256-GCM where the CPU is fast at it, else ChaCha20-Poly1305
	TransformAES    = "aes-256-gcm"       // always AES-256-GCM
	TransformChaCha = "chacha20-poly1305" // always ChaCha20-Poly1305
)

// Limits of a community. MaxIndex is the largest key index: 255 on the wire
// means "no key". MaxName is in bytes.
const (
	MaxIndex    = 254
	MaxName     = 64
	DefaultSkew = time.Hour
	MaxSkew     = 24 * time.Hour
)

// Epoch is one key of a community and the time in which members send under it.
type Epoch struct {
	Index       uint8     // key index, 0 to MaxIndex: the KI byte of packets
	From, Until time.Time // zero: without bound on that side; Until itself is outside
	ChaCha      bool      // true when Transform is TransformChaCha
	Transform   string    // TransformAuto, TransformAES or TransformChaCha; empty means auto
	Key         [32]byte  // random, independent of every other epoch's
	Roll        bool      // the authority made it when it revoked somebody, who has all older keys
}

// String names the epoch and never shows its key.
func (e Epoch) String() string { return fmt.Sprintf("epoch %d", e.Index) }

// GoString is String, so that no verb of package fmt prints the key.
func (e Epoch) GoString() string { return e.String() }

// Members says who counts as a member: the word "members" of a community file.
type Members uint8

// The three rules of membership. The zero value is the default.
const (
	MembersTOFU Members = 0 // a hardware address belongs to the identity first seen with it
	MembersOpen Members = 1 // the epoch key is enough
	MembersList Members = 2 // only listed identities
)

// String returns the word of the community file.
func (m Members) String() string {
	switch m {
	case MembersTOFU:
		return "tofu"
	case MembersOpen:
		return "open"
	case MembersList:
		return "list"
	}
	return fmt.Sprintf("members(%d)", uint8(m))
}

// Community is everything that a member knows about its community. It is
// immutable once it is in use, so goroutines share it freely.
//
// Its methods compute what they return anew, at some microseconds each; keep
// the result where it is needed per packet.
type Community struct {
	Name      string            // 1 to MaxName bytes of printable UTF-8, case-sensitive
	Secret    [32]byte          // for rendezvous, proof of membership and the header mask; seals no content
	Authority ed25519.PublicKey // signs lists of members and keys; nil without an authority
	Members   Members
	Hubs      [][32]byte    // identities in order: other members exchange frames with these alone; none: all with all
	Epochs    []Epoch       // in any order; no index and no From twice
	Fail      bool          // at the end of the schedule stop, instead of keeping the last key
	Skew      time.Duration // tolerated difference of clocks; zero means DefaultSkew, at most MaxSkew
	Insecure  bool          // the keys are public; frames travel in clear
	Modified  time.Time     // when the source was last changed, so no clock can rightly be before it; zero: unknown
}

// String names the community and shows no key.
func (c *Community) String() string { return fmt.Sprintf("community %q", c.Name) }

// GoString is String, so that no verb of package fmt prints a key.
func (c *Community) GoString() string { return c.String() }

// skew returns the tolerated difference of clocks with its default and bound.
func (c *Community) skew() time.Duration {
	if c.Skew <= 0 {
		return DefaultSkew
	}
	return min(c.Skew, MaxSkew)
}

// NameHash returns the only thing that a supernode knows of the community's
// name: its hash.
func (c *Community) NameHash() [32]byte { return digest("name", []byte(c.Name)) }

// RoomHash returns the hash that a community's identifier is made of: that of its name, and
// of a community with a list of members that of its name and its authority. So whoever
// knows name, secret and authority has no other community of them with another authority.
func (c *Community) RoomHash() [32]byte {
	if len(c.Authority) != ed25519.PublicKeySize {
		return c.NameHash()
	}
	return RoomHash(c.NameHash(), [32]byte(c.Authority))
}

// RoomHash returns the hash in the place of a name's of a community with an authority. A
// supernode recomputes it with what an edge sent.
func RoomHash(nameHash, authority [32]byte) [32]byte {
	return digest("room", nameHash[:], authority[:])
}

// Rendezvous returns the Ed25519 key that every member holds and proves its
// membership with. Its public half is known to supernodes.
func (c *Community) Rendezvous() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(derive(ed25519.SeedSize, c.Secret[:], nil, "rendezvous signing key"))
}

// ID returns the community's identifier: a hash of its name, of the public half of
// Rendezvous and of its authority, so that the same name with another secret or another
// authority is another community.
func (c *Community) ID() [16]byte {
	return CommunityID(c.RoomHash(), [32]byte(c.Rendezvous().Public().(ed25519.PublicKey)))
}

// CommunityID returns the identifier that belongs to a RoomHash and a
// rendezvous public key. A supernode recomputes it with what an edge sent.
func CommunityID(nameHash, rpk [32]byte) [16]byte {
	d := digest("community id", nameHash[:], rpk[:])
	return [16]byte(d[:16])
}

// Tag returns the community tag, which stands in the header of GROUP packets.
func (c *Community) Tag() uint32 {
	return binary.BigEndian.Uint32(derive(4, c.Secret[:], nil, "community tag"))
}

// SenderTag returns the tag by which the salts of a member with that X25519 static
// key name it (PROTOCOL.md, section 3). Only members can make the tag, and of no
// two static keys is it the same but by chance.
func (c *Community) SenderTag(static [32]byte) [8]byte {
	return [8]byte(derive(senderTagLen, c.Secret[:], nil, "sender tag", static[:]))
}

// MaskKey returns the key that masks the packets between edges.
func (c *Community) MaskKey() [16]byte {
	return [16]byte(derive(16, c.Secret[:], nil, "mask edge"))
}

// NoticeKey returns the key under which a NOTICE is authenticated.
func (c *Community) NoticeKey() [32]byte { return derive32(c.Secret[:], nil, "notice") }

// PairPSK returns the pre-shared key that handshakes between members mix in
// during epoch e.
func (c *Community) PairPSK(e Epoch) [32]byte {
	cid := c.ID()
	return derive32(e.Key[:], cid[:], "pair psk", []byte{e.Index})
}

// GroupKey returns the key of one sender's GROUP packets: salt is the sender's,
// xf the transform. No two salts share a key, which makes counter nonces safe.
func (c *Community) GroupKey(e Epoch, xf Transform, salt [16]byte) [32]byte {
	cid := c.ID()
	return derive32(e.Key[:], salt[:], "group key", []byte{xf, e.Index}, cid[:])
}

// ULA returns the IPv6 address of the edge with that identity, with the
// community's /64 (RFC 4193; the prefix follows from the secret and the
// interface identifier from the identity, so no lease is needed).
func (c *Community) ULA(idPub ed25519.PublicKey) netip.Prefix {
	var a [16]byte
	a[0] = 0xfd
	copy(a[1:8], derive(7, c.Secret[:], nil, "ula"))
	iid := interfaceFor(idPub, c.ID())
	copy(a[8:], iid[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

// InsecureCommunity returns the community of --insecure-no-encryption: its
// secret and its one key follow from the name alone, so they protect nothing.
func InsecureCommunity(name string) (*Community, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	key := digest("insecure", []byte(name))
	return &Community{
		Name:     name,
		Secret:   key,
		Epochs:   []Epoch{{Transform: TransformAuto, Key: key}},
		Skew:     DefaultSkew,
		Insecure: true,
	}, nil
}

// GenerateCommunity makes a community with a random secret and n epochs of
// length every, one directly after the other, indices 0 to n-1. The first starts
// at start (cut to whole seconds); the last has an end too, so that its owner
// makes new keys in time. Zero for every is allowed with n = 1 only and gives
// one key without an end. Randomness is read from rand.
func GenerateCommunity(name string, n int, every time.Duration, start time.Time, rand io.Reader) (*Community, error) {
	switch {
	case n < 1 || n > MaxIndex+1:
		return nil, fmt.Errorf("%d epochs asked for: a community has 1 to %d; use --epochs 12", n, MaxIndex+1)
	case every == 0 && n > 1:
		return nil, errors.New("several epochs need a length: use --every 30d")
	case every < 0 || every%time.Second != 0:
		return nil, fmt.Errorf("epochs of %v: the length must be whole seconds; use --every 30d", every)
	}
	c := &Community{Name: name, Skew: DefaultSkew}
	if _, err := io.ReadFull(rand, c.Secret[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for the community secret: %w", err)
	}
	at := start.UTC().Truncate(time.Second)
	for i := range n {
		e := Epoch{Index: uint8(i), From: at, Transform: TransformAuto}
		if every > 0 {
			at = at.Add(every)
			e.Until = at
		}
		if _, err := io.ReadFull(rand, e.Key[:]); err != nil {
			return nil, fmt.Errorf("reading randomness for the key of epoch %d: %w", i, err)
		}
		c.Epochs = append(c.Epochs, e)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkName reports a fault of a community's name.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the community has no name: give one with -c NAME")
	case len(name) > MaxName:
		return fmt.Errorf("the community name is %d bytes long: use at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("the community name %q is not UTF-8: use letters, digits and dashes", name)
	}
	for i, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("the community name %q has an unprintable character: use letters, digits and dashes", name)
		}
		if r == ' ' && (i == 0 || i == len(name)-1) {
			return fmt.Errorf("the community name %q begins or ends with a space: take it away", name)
		}
	}
	return nil
}

// check reports the first fault that makes c unfit to be used or written.
func (c *Community) check() error {
	if err := checkName(c.Name); err != nil {
		return err
	}
	switch {
	case c.Secret == [32]byte{}:
		return errors.New("the community secret is missing or zero: make a new file with edge keygen")
	case c.Authority != nil && c.Members != MembersList:
		return errAuthority
	case c.Authority == nil && c.Members == MembersList:
		return errList
	case c.Authority != nil && (len(c.Authority) != ed25519.PublicKeySize || !UsableID([32]byte(c.Authority))):
		return errors.New("the authority is a key that nobody can sign with: copy the line of 'edge authority FILE' again, whole")
	case c.Members > MembersList:
		return fmt.Errorf("%v is no rule of membership: use tofu, open or list", c.Members)
	case c.Skew < 0 || c.Skew > MaxSkew:
		return fmt.Errorf("a skew of %v is not possible: use at most 24h", c.Skew)
	case len(c.Epochs) == 0:
		return errors.New("the community has no epoch, so no key: make a new file with edge keygen")
	}
	if err := checkHubs(c.Hubs); err != nil {
		return err
	}
	for i, e := range c.Epochs {
		if err := e.check(c); err != nil {
			return err
		}
		for _, o := range c.Epochs[:i] {
			if err := e.clash(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// check reports a fault of one epoch of c by itself.
func (e Epoch) check(c *Community) error {
	switch {
	case e.Index > MaxIndex:
		return fmt.Errorf("epoch index %d is out of range: use 0 to %d", e.Index, MaxIndex)
	case e.Key == [32]byte{}:
		return fmt.Errorf("epoch %d has a key of zeros: make a key with edge keygen", e.Index)
	case e.Key == c.Secret:
		return fmt.Errorf("epoch %d uses the community secret as its key: make a key with edge keygen", e.Index)
	case !e.From.IsZero() && !e.Until.IsZero() && !e.From.Before(e.Until):
		return fmt.Errorf("epoch %d ends at %s, not after it starts: put the earlier time first",
			e.Index, e.Until.Format(time.RFC3339))
	}
	for _, t := range []time.Time{e.From, e.Until} {
		if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9999) {
			return fmt.Errorf("epoch %d has a time in the year %d: use 1970 to 9999, or - for no bound", e.Index, y)
		}
	}
	switch e.Transform {
	case "", TransformAuto, TransformAES, TransformChaCha:
	default:
		return fmt.Errorf("epoch %d has the unknown transform %s: use %s, %s or %s",
			e.Index, quoteShort(e.Transform), TransformAuto, TransformAES, TransformChaCha)
	}
	if e.ChaCha != (e.Transform == TransformChaCha) {
		return fmt.Errorf("epoch %d says two different things about its transform", e.Index)
	}
	return nil
}

// clash reports why e and o cannot be in one community. An index means one key
// for ever: a packet names nothing but the index. And of two epochs one must
// be the newer, so their starts differ.
func (e Epoch) clash(o Epoch) error {
	switch {
	case e.Index == o.Index:
		return fmt.Errorf("epoch %d is there twice: an index is never given another key; use an index that is free", e.Index)
	case e.Key == o.Key:
		return fmt.Errorf("epochs %d and %d have the same key: make a new one with edge keygen", o.Index, e.Index)
	case e.From.Equal(o.From):
		return fmt.Errorf("epochs %d and %d start at the same time, so neither is the newer: move one", o.Index, e.Index)
	}
	return nil
}
