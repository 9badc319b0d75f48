package crypto

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

type sGroupVector struct {
	Name                                                 string
	XF, KI                                               uint8
	Secret, Key, Static, SaltRand, Header, Inner, Packet sHex
	Unix                                                 int64
}

// community returns the community of the vector.
func (v *sGroupVector) community() *Community {
	return &Community{Name: v.Name, Secret: [32]byte(v.Secret), Epochs: []Epoch{{Index: v.KI, Key: [32]byte(v.Key)}}}
}

// sCanReceive lets a community receive under all its epochs.
func sCanReceive(c *Community) func(uint8) (Epoch, bool) {
	return func(ki uint8) (Epoch, bool) {
		for _, e := range c.Epochs {
			if e.Index == ki {
				return e, true
			}
		}
		return Epoch{}, false
	}
}

func TestGroupVectors(t *testing.T) {
	sc := NewScratch()
	for _, v := range sVectors[sGroupVector](t, "group.json") {
		t.Run(v.Name, func(t *testing.T) {
			c, now := v.community(), time.Unix(v.Unix, 0)
			static := [32]byte(v.Static)
			s, err := NewGroupSender(GroupConfig{Community: c, Epoch: c.Epochs[0], XF: v.XF, Static: static, Now: now, Random: bytes.NewReader(v.SaltRand)})
			if err != nil {
				t.Fatal(err)
			}
			sealed := s.Seal(sc, sPacket([16]byte(v.Header), make([]byte, 16), v.Inner))
			tail := len(v.Packet) - tailLen
			sEqual(t, "sealed", sealed[:tail], v.Packet[:tail])
			if other := bytes.Clone(sealed); len(other) == len(v.Packet) {
				if Vary(other); bytes.Equal(other[tail:], sealed[tail:]) || !bytes.Equal(other[:tail], sealed[:tail]) {
					t.Fatal("a copy has the same tail, or other bytes before it")
				}
			} else {
				t.Fatalf("%d bytes, want %d", len(other), len(v.Packet))
			}
			salt := s.Salt()
			sEqual(t, "salt", salt[:], v.Packet[16:32])
			if s.XF() != v.XF || s.KI() != v.KI {
				t.Fatal("wrong header")
			}

			for _, vouch := range []bool{false, true} {
				r := NewGroupReceiver(c)
				if vouch {
					r.Vouch(now, static, s.Vouch())
				}
				sFlips(t, v.Packet[:tail], func(bad []byte) bool {
					bad = append(bytes.Clone(bad), v.Packet[tail:]...)
					r.budget = groupBudget{} // never refused for want of a token
					_, _, _, err := r.Open(sc, now, GroupOrigin{}, bad, sCanReceive(c))
					return err == nil || err == ErrStaleSalt
				})
				if len(r.places.list) != 0 {
					t.Fatal("an entry for a packet that does not open")
				}
				r.budget = groupBudget{}
				inner, from, known, err := r.Open(sc, now, GroupOrigin{}, bytes.Clone(v.Packet), sCanReceive(c))
				if err != nil || known != vouch || (from == static) != vouch {
					t.Fatal(from, known, err)
				}
				sEqual(t, "opened", inner, v.Inner)
				if _, _, _, err := r.Open(sc, now, GroupOrigin{}, bytes.Clone(v.Packet), sCanReceive(c)); err != ErrReplay {
					t.Fatalf("replayed: %v", err)
				}
			}
		})
	}
}

// TestGroupKeyIsTheCommunitys: the key of a salt is the one that Community says.
func TestGroupKeyIsTheCommunitys(t *testing.T) {
	v, sc := sVectors[sGroupVector](t, "group.json")[1], NewScratch()
	c := v.community()
	key := c.GroupKey(c.Epochs[0], v.XF, [16]byte(v.Packet[16:32]))
	inner, err := newGCM(key[:]).Open(nil, sc.counterNonce(v.Packet), v.Packet[32:len(v.Packet)-tailLen], v.Packet[:32])
	if err != nil {
		t.Fatal(err)
	}
	sEqual(t, "inner", inner, v.Inner)
}

func TestGroupSenderLife(t *testing.T) {
	v := sVectors[sGroupVector](t, "group.json")[0]
	c := v.community()
	s, err := NewGroupSender(GroupConfig{Community: c, Epoch: c.Epochs[0], XF: xfGroupGCM, Now: sNow})
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{0: false, 119 * time.Second: false, 120 * time.Second: true, -time.Second: true} {
		if got := s.Worn(sNow.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
	s.sent.next.Store(1<<28 - 1)
	if s.Worn(sNow) {
		t.Error("worn too early")
	}
	if first, err := s.Reserve(1); first != 1<<28-1 || err != nil || !s.Worn(sNow) {
		t.Error("not worn at 2^28 packets")
	}
	if _, err := s.Reserve(1 << 28); err != nil {
		t.Error(err)
	}
	if _, err := s.Reserve(1); !errors.Is(err, ErrExhausted) {
		t.Error("reserved 2^29")
	}
	other, err := NewGroupSender(GroupConfig{Community: c, Epoch: c.Epochs[0], XF: xfGroupGCM, Now: sNow})
	if err != nil || other.Salt() == s.Salt() {
		t.Error("a salt came twice", err)
	}
	for xf := range 256 {
		_, err := NewGroupSender(GroupConfig{Community: c, Epoch: c.Epochs[0], XF: uint8(xf), Now: sNow})
		if ok := xf == 1 || xf == 2; ok != (err == nil) {
			t.Errorf("transform %#x: %v", xf, err)
		}
	}
	if _, err := NewGroupSender(GroupConfig{Community: c, Epoch: c.Epochs[0], XF: 1, Now: sNow, Random: bytes.NewReader(make([]byte, 3))}); err == nil {
		t.Error("a salt without randomness")
	}
}

// TestGroupNull: an insecure community sends in clear and takes nothing else;
// the others take nothing that is in clear.
func TestGroupNull(t *testing.T) {
	sc := NewScratch()
	open, err := InsecureCommunity("lab")
	if err != nil {
		t.Fatal(err)
	}
	secure := *open
	secure.Insecure = false
	send := func(c *Community, ctr uint64) []byte {
		s, err := NewGroupSender(GroupConfig{Community: c, Epoch: c.Epochs[0], XF: xfGroupGCM, Now: sNow})
		if err != nil {
			t.Fatal(err)
		}
		return s.Seal(sc, sPacket(sHeader(typeGroup, s.XF(), s.KI(), c.Tag(), ctr), make([]byte, 16), []byte("frame")))
	}
	clear, sealed := send(open, 0), send(&secure, 0)
	if clear[offXF] != xfNull || !bytes.Equal(clear[32:37], []byte("frame")) || len(clear) != 32+5+16+8 {
		t.Fatalf("%x", clear)
	}
	a, b := NewGroupReceiver(open), NewGroupReceiver(&secure)
	if _, _, _, err := a.Open(sc, sNow, relayed, bytes.Clone(sealed), sCanReceive(open)); err != ErrOpen {
		t.Errorf("sealed in an insecure community: %v", err)
	}
	if _, _, _, err := b.Open(sc, sNow, relayed, bytes.Clone(clear), sCanReceive(&secure)); err != ErrOpen {
		t.Errorf("clear in a secure community: %v", err)
	}
	if inner, _, _, err := a.Open(sc, sNow, relayed, bytes.Clone(clear), sCanReceive(open)); err != nil || string(inner) != "frame" {
		t.Errorf("%q, %v", inner, err)
	}
	if _, _, _, err := a.Open(sc, sNow, relayed, clear, sCanReceive(open)); err != ErrReplay {
		t.Errorf("replayed: %v", err)
	}
}
