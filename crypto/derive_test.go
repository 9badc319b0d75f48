package crypto

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// kRange returns n bytes that count up from first, for keys of vectors.
func kRange(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// kVectors reads the known answers. They were computed from the tables of
// PROTOCOL.md with another language's libraries, not with this package.
func kVectors(t *testing.T) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]map[string]string
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// kEverything derives every value that follows from a community with one epoch
// and the identity of the vectors.
func kEverything(c *Community) map[string][]byte {
	e, cid := c.Epochs[0], c.ID()
	id := NewIdentity([32]byte(kRange(1, 32)))
	salt, hash := [16]byte(kRange(0xa0, 16)), [32]byte(kRange(0x40, 32))
	static := id.StaticPrivate()
	name, mask, notice, psk := c.NameHash(), c.MaskKey(), c.NoticeKey(), c.PairPSK(e)
	chacha, aes := c.GroupKey(e, 1, salt), c.GroupKey(e, 2, salt)
	link := LinkMAC([LinkPrefixLen]byte(id.ID), [LinkPrefixLen]byte(kRange(0x11, LinkPrefixLen)), cid)
	mac, iid, ula := id.MAC(cid), id.Interface(cid), c.ULA(id.ID).Addr().As16()
	proof := SignMembership(c.Rendezvous(), hash, cid, mac, id.Static)
	return map[string][]byte{
		"rendezvous public":           c.Rendezvous().Public().(ed25519.PublicKey),
		"name hash":                   name[:],
		"community id":                cid[:],
		"mask key":                    mask[:],
		"tag":                         binary.BigEndian.AppendUint32(nil, c.Tag()),
		"notice key":                  notice[:],
		"pair psk":                    psk[:],
		"group key chacha20-poly1305": chacha[:],
		"group key aes-256-gcm":       aes[:],
		"identity public":             id.ID,
		"static private":              static[:],
		"static public":               id.Static[:],
		"mac":                         mac[:],
		"link mac":                    link[:],
		"interface":                   iid[:],
		"ula":                         ula[:],
		"statement":                   id.SignStatement(Statement{CID: cid, MAC: mac, Seq: 7, Expiry: 1800000000}),
		"membership":                  proof[:],
	}
}

func TestDerivedValuesKnownAnswers(t *testing.T) {
	insecure, err := InsecureCommunity("mynetwork")
	if err != nil {
		t.Fatal(err)
	}
	// The accent is decomposed here and composed in the vectors: NFC makes them one.
	passphrase, err := FromPassphrase("mynetwork", "cafe\u0301 encryptme")
	if err != nil {
		t.Fatal(err)
	}
	communities := map[string]*Community{
		"generated": {
			Name:   "Nachbarschaft é",
			Secret: [32]byte(kRange(0x20, 32)),
			Epochs: []Epoch{{Index: 4, Key: [32]byte(kRange(0x80, 32))}},
		},
		"passphrase": passphrase,
		"insecure":   insecure,
	}
	vectors := kVectors(t)
	if len(vectors) != len(communities) {
		t.Errorf("%d groups of vectors for %d communities", len(vectors), len(communities))
	}
	for name, c := range communities {
		got := kEverything(c)
		if name != "generated" {
			got["secret"], got["epoch key"] = c.Secret[:], c.Epochs[0].Key[:]
		}
		if len(got) != len(vectors[name]) {
			t.Errorf("%s: %d values for %d vectors", name, len(got), len(vectors[name]))
		}
		for what, value := range got {
			if want := vectors[name][what]; hex.EncodeToString(value) != want {
				t.Errorf("%s: %s is %x, want %s", name, what, value, want)
			}
		}
	}
	if passphrase.Insecure || !insecure.Insecure {
		t.Error("Insecure must be set for the insecure community only")
	}
	if s := NewSchedule(passphrase, time.Time{}); !s.Next(time.Now()).IsZero() {
		t.Error("a passphrase's epoch must have no bounds")
	}
}

// TestDerivedValuesAreApart holds that changing any one input changes every
// value that depends on it.
func TestDerivedValuesAreApart(t *testing.T) {
	base := Community{
		Name:   "a",
		Secret: [32]byte(kRange(0x20, 32)),
		Epochs: []Epoch{{Index: 4, Key: [32]byte(kRange(0x80, 32))}},
	}
	name, secret, key, index, authority := base, base, base, base, base
	name.Name = "b"
	authority.Authority = NewIdentity([32]byte(kRange(3, 32))).ID
	secret.Secret[31] ^= 1
	key.Epochs = []Epoch{{Index: 4, Key: [32]byte(kRange(0x81, 32))}}
	index.Epochs = []Epoch{{Index: 5, Key: base.Epochs[0].Key}}
	public := []string{"name hash", "community id", "mac", "link mac", "interface", "statement", "membership"}
	tests := []struct {
		what    string
		c       *Community
		changes []string
		stays   []string
	}{
		{"name", &name, append([]string{"pair psk", "group key aes-256-gcm"}, public...), []string{"tag", "mask key"}},
		{"secret", &secret, []string{"rendezvous public", "community id", "mask key", "tag", "notice key", "ula", "pair psk"},
			[]string{"name hash", "identity public"}},
		{"authority", &authority, []string{"community id", "mac", "statement", "membership", "pair psk", "group key aes-256-gcm"},
			[]string{"name hash", "rendezvous public", "tag", "mask key"}},
		{"epoch key", &key, []string{"pair psk", "group key aes-256-gcm", "group key chacha20-poly1305"}, public},
		{"key index", &index, []string{"pair psk", "group key aes-256-gcm", "group key chacha20-poly1305"}, public},
	}
	was := kEverything(&base)
	if bytes.Equal(was["group key aes-256-gcm"], was["group key chacha20-poly1305"]) {
		t.Error("two transforms have one group key")
	}
	for _, tt := range tests {
		got := kEverything(tt.c)
		for _, what := range tt.changes {
			if bytes.Equal(got[what], was[what]) {
				t.Errorf("another %s leaves %s as it was", tt.what, what)
			}
		}
		for _, what := range tt.stays {
			if !bytes.Equal(got[what], was[what]) {
				t.Errorf("another %s changes %s", tt.what, what)
			}
		}
	}
}

func TestCommunityIDIsRecomputable(t *testing.T) {
	c := Community{Name: "mynetwork", Secret: [32]byte(kRange(1, 32))}
	rpk := [32]byte(c.Rendezvous().Public().(ed25519.PublicKey))
	if CommunityID(c.NameHash(), rpk) != c.ID() {
		t.Error("CommunityID differs from ID")
	}
	c.Authority = NewIdentity([32]byte(kRange(3, 32))).ID
	if room := RoomHash(c.NameHash(), [32]byte(c.Authority)); room != c.RoomHash() || CommunityID(room, rpk) != c.ID() {
		t.Error("CommunityID differs from ID where there is an authority")
	}
}
