package turn

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// allocate makes a station with an allocation.
func (s *scene) allocate(at netip.AddrPort, identity string) (*station, netip.AddrPort) {
	s.t.Helper()
	st := s.station(at, identity)
	relayed, err := st.Allocate(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return st, relayed
}

// converse sends a datagram each way and fails the test if one is lost or comes
// from elsewhere.
func (s *scene) converse(st *station, relayed netip.AddrPort, when string) {
	s.t.Helper()
	if err := st.Write(peerAt, []byte("to the peer")); err != nil {
		s.t.Fatalf("%s: %v", when, err)
	}
	if text, from := s.peer.read(); text != "to the peer" || from != relayed {
		s.t.Fatalf("%s: the peer got %q from %v", when, text, from)
	}
	s.peer.send(relayed, []byte("to the client"))
	if got := st.read(); got != peerAt.String()+" to the client" {
		s.t.Fatalf("%s: the client got %q", when, got)
	}
}

func TestExchange(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if relayed.Addr() != serverAt.Addr() || relayed.Port() < 49152 {
			t.Errorf("relayed address %v", relayed)
		}
		s.peer.send(relayed, []byte("too early"))
		if got := st.read(); got != "" {
			t.Errorf("without a permission the client got %q", got)
		}
		if err := st.Write(peerAt, nil); !errors.Is(err, ErrNoPermission) {
			t.Error(err)
		}
		if err := st.Permit(t.Context(), peerAt.Addr(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		s.peer.send(relayed, []byte("first"))
		if got := st.read(); got != peerAt.String()+" first" {
			t.Errorf("the client got %q", got)
		}
		for _, when := range []string{"by indications", "by a channel", "again"} {
			s.converse(st, relayed, when)
		}
		if _, err := st.Allocate(t.Context()); err == nil {
			t.Error("allocated twice")
		}
	})
}

// Both ways have the framing that they are said to have.
func TestFraming(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		var sizes []int
		s.wire.setCut(func(from, to netip.AddrPort, pkt []byte) bool {
			if pkt[0] == 0x40 || pkt[1] == typeSend || pkt[1] == typeData {
				sizes = append(sizes, len(pkt))
			}
			return false
		})
		payload := make([]byte, MaxPayload)
		for range 2 {
			if err := st.Write(peerAt, payload); err != nil {
				t.Fatal(err)
			}
			s.peer.read()
			s.peer.send(relayed, payload)
			st.read()
		}
		s.wire.setCut(nil)
		want := []int{MaxPayload + 39, MaxPayload + 4 + 3, MaxPayload + 4, MaxPayload + 4 + 3}
		for i := range want {
			if i >= len(sizes) || sizes[i] != want[i] {
				t.Fatalf("sizes %d, want %d", sizes, want)
			}
		}
		if err := st.Write(peerAt, make([]byte, MaxPayload+1)); !errors.Is(err, ErrLong) {
			t.Error(err)
		}
	})
}

// Five hours: the server's nonce changes 5 times, and permission, channel and
// allocation would have ended by themselves many times.
func TestStaysAlive(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		s.converse(st, relayed, "at first")
		for hour := range 5 {
			time.Sleep(time.Hour)
			s.converse(st, relayed, "after a pause")
			for range 60 {
				time.Sleep(5 * time.Second)
				s.converse(st, relayed, "in a conversation")
			}
			if err := st.Err(); err != nil {
				t.Fatalf("hour %d: %v", hour, err)
			}
		}
	})
}

// The way to the server is used at least every 25 s, so NATs keep it.
func TestKeepsTheWayOpen(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		defer st.leave()
		last, longest := time.Now(), time.Duration(0)
		s.wire.setCut(func(from, _ netip.AddrPort, _ []byte) bool {
			if from == clientAt {
				longest, last = max(longest, time.Since(last)), time.Now()
			}
			return false
		})
		time.Sleep(time.Hour)
		s.wire.setCut(nil)
		if longest != keepEvery {
			t.Errorf("silent for %v", longest)
		}
	})
}

// A server that was started again knows nothing of us and does not say so.
func TestServerRestart(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		defer st.leave()
		time.Sleep(time.Minute)
		if err := s.server.Close(); err != nil {
			t.Fatal(err)
		}
		s.start(ServerLimits{})
		before := time.Now()
		<-st.Done()
		if took := time.Since(before); took > 42*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if err := st.Err(); !errors.Is(err, errSilent) {
			t.Error(err)
		}
		if err := st.Write(peerAt, nil); !errors.Is(err, errSilent) {
			t.Error(err)
		}
		if err := st.Permit(t.Context(), peerAt.Addr()); !errors.Is(err, errSilent) {
			t.Error(err)
		}
		st.leave()
		again, relayed := s.allocate(clientAt, "a")
		defer again.leave()
		if err := again.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		s.converse(again, relayed, "with the new server")
	})
}

// One lost round of retransmissions is not the end.
func TestShortOutage(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Second)
		s.wire.setCut(func(_, to netip.AddrPort, _ []byte) bool { return to == serverAt })
		time.Sleep(10 * time.Second)
		s.wire.setCut(nil)
		time.Sleep(10 * time.Second)
		if err := st.Err(); err != nil {
			t.Fatal(err)
		}
		s.converse(st, relayed, "after the outage")
	})
}

func TestAllocateFails(t *testing.T) {
	inScene(t, ServerLimits{PerIdentity: 1}, func(t *testing.T, s *scene) {
		user, _ := Credentials(secret, "a", time.Now().Add(time.Hour))
		old, oldPassword := Credentials(secret, "a", time.Now())
		wrong := s.stationAs(clientAt, user, "wrong")
		_, err := wrong.Allocate(t.Context())
		var refused *ServerError
		if !errors.As(err, &refused) || refused.Code != codeBadRequest || !strings.Contains(err.Error(), "password is wrong or has expired") {
			t.Error(err)
		}
		wrong.leave()
		expired := s.stationAs(clientAt, old, oldPassword)
		if _, err := expired.Allocate(t.Context()); !errors.As(err, &refused) || refused.Code != codeBadRequest {
			t.Error(err)
		}
		expired.leave()

		first, _ := s.allocate(clientAt, "a")
		defer first.leave()
		second := s.station(netip.MustParseAddrPort("198.51.100.7:5001"), "a")
		defer second.leave()
		if _, err := second.Allocate(t.Context()); !errors.As(err, &refused) || refused.Code != codeCapacity {
			t.Error(err)
		}
		if err := second.Permit(t.Context(), peerAt.Addr()); !errors.Is(err, ErrNoAllocation) {
			t.Error(err)
		}
		first.Close()
		if _, err := second.Allocate(t.Context()); err != nil {
			t.Errorf("after the first was given back: %v", err)
		}
	})
}

func TestSilence(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		s.wire.setCut(func(_, to netip.AddrPort, _ []byte) bool { return to == serverAt })
		st := s.station(clientAt, "a")
		defer st.leave()
		before := time.Now()
		_, err := st.Allocate(t.Context())
		if !errors.Is(err, errSilent) || time.Since(before) != 7800*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := st.Allocate(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		s.wire.setCut(nil)
		if _, err := st.Allocate(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Close waits for a server that is gone no longer than a second, and ends what
// others wait for.
func TestClose(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		s.wire.setCut(func(_, to netip.AddrPort, _ []byte) bool { return to == serverAt })
		waiting := make(chan error)
		go func() { waiting <- st.Permit(t.Context(), peerAt.Addr()) }()
		synctest.Wait()
		before := time.Now()
		st.leave()
		if took := time.Since(before); took != closeWait {
			t.Errorf("Close took %v", took)
		}
		if err := <-waiting; err == nil {
			t.Error("permitted")
		}
		<-st.Done()
		if err := st.Err(); err != nil {
			t.Error(err)
		}
		if _, err := st.Allocate(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := st.Write(peerAt, nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		st.Close()
		s.wire.setCut(nil)

		// The allocation that was left there is in the way of the next, which
		// takes it away.
		again, _ := s.allocate(clientAt, "a")
		again.leave()
		if n := s.server.Stats().Allocations; n != 0 {
			t.Errorf("%d allocations left", n)
		}
	})
}

func TestPermitRefused(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		bad := netip.MustParseAddr("10.0.0.1")
		var refused *ServerError
		err := st.Permit(t.Context(), bad, netip.MustParseAddr("2001:db8::1"), peerAt.Addr())
		if !errors.As(err, &refused) || !errors.Is(err, ErrFamily) || !strings.Contains(err.Error(), "10.0.0.1") {
			t.Error(err)
		}
		s.converse(st, relayed, "the others are permitted")
		// A peer that is no longer allowed is forgotten within the time of a renewal.
		s.forbidden.Store(true)
		time.Sleep(permissionRenew + 2*keepEvery)
		if err := st.Write(peerAt, nil); !errors.Is(err, ErrNoPermission) {
			t.Error(err)
		}
	})
}

func TestClientConfig(t *testing.T) {
	_, err := NewClient(ClientConfig{})
	for _, want := range []string{"address", "password", "sends"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v names no %s", err, want)
		}
	}
}
