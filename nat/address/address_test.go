package address

import (
	"net/netip"
	"testing"
	"time"
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func parse(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestStrings(t *testing.T) {
	for _, s := range []string{KindHost.String(), KindReflexive.String(), KindPeerReflexive.String(), KindMapped.String(), KindStatic.String(),
		KindTURN.String(), KindLAN.String(), MappingEndpointIndependent.String(), MappingAddressDependent.String(),
		MappingAddressAndPortDependent.String()} {
		if s == "unknown" || s == "" {
			t.Errorf("%q", s)
		}
	}
	if CandidateKind(0).String() != "unknown" || MappingUnknown.String() != "unknown" {
		t.Error("unknown")
	}
}
