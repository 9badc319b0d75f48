package turn

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"unicode/utf8"
)

// TestTURNAnswersNoMoreThanItGot: a stranger gets one datagram for one, and none that
// is longer.
func TestTURNAnswersNoMoreThanItGot(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		stranger, _ := s.wire.listen(netip.MustParseAddrPort("192.0.2.66:6"))
		defer stranger.Close()
		answered := 0
		for n := range 18 {
			pkt := message(uint16(methodAllocate), attribute(0x8022, make([]byte, 16*n)...))
			stranger.send(serverAt, pkt)
			synctest.Wait()
			got := 0
			for _, answer := range stranger.waiting() {
				got += len(answer)
				answered++
			}
			if got > len(pkt) {
				t.Errorf("%d bytes for %d", got, len(pkt))
			}
		}
		if answered == 0 {
			t.Error("a stranger gets no answer to requests of any length")
		}
	})
}

// TestFirstRequestIsLongEnough: a client of this package gets the nonce of a server with
// the longest realm, though that sends no more than it got, by a request that is within
// what servers have to take.
func TestFirstRequestIsLongEnough(t *testing.T) {
	if n := utf8.RuneCountInString(filling); n >= 128 {
		t.Errorf("SOFTWARE has %d characters, fewer than 128 are allowed (RFC 8489, section 14.14)", n)
	}
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		if err := s.server.Close(); err != nil {
			t.Fatal(err)
		}
		s.realm = strings.Repeat("r", 127)
		s.start(ServerLimits{})
		st, _ := s.allocate(clientAt, "a")
		st.leave()
	})
}

// TestAllocationsOfForgedAddresses: a member writes another's address into its request,
// with a nonce that it got at its own. Nothing that a peer sends may go to that other.
func TestAllocationsOfForgedAddresses(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		defer st.leave()
		st.mu.Lock()
		nonce := st.credential.nonce
		st.mu.Unlock()
		victim, _ := s.wire.listen(netip.MustParseAddrPort("192.0.2.66:6"))
		defer victim.Close()
		signed := s.signed(uint16(methodAllocate), nonce, attribute(0x0019, protocolUDP, 0, 0, 0))
		victim.send(serverAt, signed) // anybody may have sent it
		synctest.Wait()
		got := 0
		for _, answer := range victim.waiting() {
			got += len(answer)
		}
		if n := s.server.Stats().Allocations; n != 1 || got > len(signed) {
			t.Errorf("%d allocations, %d bytes for %d", n, got, len(signed))
		}
	})
}

// TestNoncesAreBounded fills the table of nonces from outside.
func TestNoncesAreBounded(t *testing.T) {
	var u unproved
	answer := message(0x0113, attribute(attrNonce, 'n'))
	for i := range 3 * noncesMost {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
		u.begin(from, make([]byte, 100))
		if !u.admits(from, answer) || u.admits(from, answer) {
			t.Fatal("one answer for one request")
		}
		if len(u.nonces) > noncesMost {
			t.Fatalf("%d nonces", len(u.nonces))
		}
	}
}

// waiting returns what has arrived at a socket that nobody reads.
func (s *socket) waiting() (pkts [][]byte) {
	for {
		select {
		case d := <-s.inbox:
			pkts = append(pkts, d.pkt)
		default:
			return pkts
		}
	}
}
