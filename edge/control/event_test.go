package control

import (
	"net/netip"
	"strings"
	"testing"
)

// TestSentences: each sentence of an event names what it is about, and the code by which
// docs/debugging.md is found.
func TestSentences(t *testing.T) {
	addr := netip.MustParseAddrPort("203.0.113.9:7654")
	lease := netip.MustParsePrefix("8.8.8.1/24")
	for got, want := range map[string][]string{
		Recursion(addr, "roof", "edge0"):                  {"203.0.113.9:7654 for roof", "edge0", "ip route get 203.0.113.9", "[E19]"},
		Recursion(addr, "", "edge0"):                      {"ignoring 203.0.113.9:7654:", "[E19]"},
		OlderSupernode("vps:7654"):                        {"vps:7654", "[E22]"},
		LeaseRefusal("vps:7654", lease, "is everybody's"): {"8.8.8.1/24", "vps:7654", "it is everybody's", "[E12]"},
		DeviceTakesNothing("edge7"):                       {"ip link set edge7 up", "[E28]"},
		SegmentReflects:                                   {"[E29]"},
	} {
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not in %q", part, got)
			}
		}
	}
}
