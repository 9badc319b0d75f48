package roster

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestVectors holds lists and a KEYUPDATE against those of a second implementation
// (testdata/vectors.py): heads with their roots and signatures, and the last piece of each
// with its proof.
func TestVectors(t *testing.T) {
	var all struct {
		CID       string `json:"cid"`
		Seed      string `json:"authority_seed"`
		KeyUpdate string `json:"keyupdate"`
		Lists     []struct {
			Head, Last string
			Entries    []struct {
				ID     string
				Roles  uint8
				Expiry uint64
			}
		}
	}
	b, err := os.ReadFile("testdata/lists.json")
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	bytesOf := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	by, cid := crypto.NewAuthority([32]byte(bytesOf(all.Seed))), [16]byte(bytesOf(all.CID))
	for i, v := range all.Lists {
		h, err := protocol.ParseListHead(bytesOf(v.Head))
		if err != nil {
			t.Fatal(err)
		}
		var entries []Entry
		for _, e := range v.Entries {
			entries = append(entries, Entry{ID: [32]byte(bytesOf(e.ID)), Role: Role(e.Roles), Expires: moment(e.Expiry)})
		}
		l, err := Sign(by, cid, h.Serial, moment(h.Made), moment(h.Stale), entries)
		if err != nil || !bytes.Equal(l.Head.Append(nil), bytesOf(v.Head)) {
			t.Errorf("list %d: %v, its head is\n%x, want\n%s", i, err, l.Head.Append(nil), v.Head)
			continue
		}
		part, _ := l.Part(h.Pieces() - 1)
		if got := part.Append(nil)[3:]; !bytes.Equal(got, bytesOf(v.Last)) {
			t.Errorf("list %d: its last piece is\n%x, want\n%s", i, got, v.Last)
		}
	}
	m, err := protocol.ParseKeyUpdate(bytesOf(all.KeyUpdate))
	if err != nil {
		t.Fatal(err)
	}
	e := crypto.Epoch{Index: m.KI, From: moment(m.From), Until: moment(m.Until), Key: m.Key}
	if got := SignRoll(by, cid, m.Version, e); got != m {
		t.Errorf("the KEYUPDATE is %+v, want %+v", got, m)
	}
}
