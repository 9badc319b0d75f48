package path

import (
	"strconv"
	"strings"

	"hedgerow/nat/address"
)

// Refusal says why a Machine did not do what an input asked for or a plan wanted.
// Those below RefusedKind are of address.Refusal, with the same numbers.
type Refusal uint8

// The reasons of a Machine itself.
const (
	// RefusedKind is a candidate of a kind that this version does not know.
	RefusedKind Refusal = Refusal(address.RefusalEnd) + iota
	// RefusedTooMany is a candidate beyond 16, or beyond 8 of its address family.
	RefusedTooMany
	// RefusedNoTraffic is an address that is not tried because there was no traffic
	// for 10 minutes.
	RefusedNoTraffic
	// RefusedBackoff is an address that is not tried at once because another one
	// broke the back-off within 30 s.
	RefusedBackoff
	// RefusedUnknownAddress is a PONG from an address, or an error of one, at which
	// the peer is not known to be.
	RefusedUnknownAddress
	// RefusedNonce is a PONG to no outstanding ping: it is late, repeated or forged.
	RefusedNonce
	// RefusedWrongAddress is a PONG that came from another address than its ping
	// went to.
	RefusedWrongAddress
	// RefusedSmall is the PONG of an address over which large pings got lost less
	// than 10 s ago, so that it is not nominated.
	RefusedSmall
	// RefusedHit is an address that a technique opened beyond those that are tried.
	RefusedHit
	// RefusedNotSeen is a technique whose target is unknown: no supernode saw the
	// peer at an IPv4 address within 30 s.
	RefusedNotSeen
	// RefusedNoTechnique is a pair of NATs for which there is no technique, or which
	// needs none.
	RefusedNoTechnique
	// RefusedTechniqueBusy is a technique while one runs.
	RefusedTechniqueBusy
	// RefusedTechniqueWait is a technique that failed with this peer too often to be
	// tried again already.
	RefusedTechniqueWait
	// RefusedTechniqueRate is a technique of hundreds of packets within a minute of
	// another one, of any peer.
	RefusedTechniqueRate

	refusalEnd
)

var refusalNames = [...]string{
	"unknown-kind", "too-many-candidates", "no-traffic", "back-off", "unknown-address", "unknown-nonce",
	"wrong-address", "small-packets-only", "enough-hits", "not-seen", "no-technique", "technique-busy",
	"technique-wait", "technique-rate",
}

// String returns the name of the reason, in lower case with hyphens.
func (r Refusal) String() string {
	switch {
	case r < RefusedKind:
		return address.Refusal(r).String()
	case r < refusalEnd:
		return refusalNames[r-RefusedKind]
	}
	return "unknown"
}

// Refusals counts refusals by their reason.
type Refusals [refusalEnd]uint32

// add counts one.
func (l *Refusals) add(r Refusal) { l[r]++ }

// String lists the reasons that occurred with their counts, as in
// "forbidden-port 3, over-rate 12"; it is empty when nothing was refused.
func (l *Refusals) String() string {
	var b strings.Builder
	for r, n := range l {
		if n == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(Refusal(r).String() + " " + strconv.FormatUint(uint64(n), 10))
	}
	return b.String()
}
