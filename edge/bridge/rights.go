package bridge

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"hedgerow/crypto"
)

// Rights are what an edge lets another one do.
type Rights uint8

const (
	// SpeakForHosts lets it send frames of other hardware addresses than its own, and
	// claim IP addresses for them.
	SpeakForHosts Rights = 1 << iota
	// ServeDHCP lets its answers to DHCP clients through.
	ServeDHCP
	// Advertise lets its router advertisements through, and its redirects.
	Advertise
	// Exchange lets frames pass between it and us, of whatever kind.
	Exchange
)

// Has reports whether all of some rights are among these.
func (r Rights) Has(some Rights) bool { return r&some == some }

// maxListed bounds how many edges one option names.
const maxListed = 256

// Whom says from which edges something is accepted. Its zero value is for whoever fills
// in a default; it accepts nothing.
type Whom struct {
	kind whomKind
	ids  []string // lower-case hexadecimal digits that an identity begins with
}

type whomKind uint8

const (
	unset whomKind = iota
	nobody
	bridges
	everybody
	listed
)

// Nobody, Bridges and Everybody are the choices that name no edge.
var (
	Nobody    = Whom{kind: nobody}
	Bridges   = Whom{kind: bridges}
	Everybody = Whom{kind: everybody}
)

// Or returns w, or another choice if w is the zero value.
func (w Whom) Or(other Whom) Whom {
	if w.kind == unset {
		return other
	}
	return w
}

// ParseWhom reads "all", "bridges", "none" or a list of identities, as 'edge peers' or
// 'edge identity' shows them, with commas between them.
func ParseWhom(s string) (Whom, error) {
	switch s {
	case "all":
		return Everybody, nil
	case "bridges":
		return Bridges, nil
	case "none":
		return Nobody, nil
	}
	w := Whom{kind: listed}
	for _, text := range strings.Split(s, ",") {
		id, ok := crypto.ParseID(text)
		if !ok {
			return Whom{}, fmt.Errorf("%q is not an identity such as 9f3a-71c2-e0b4, which 'edge peers' shows: type all, bridges, none, or identities with commas between them", text)
		}
		w.ids = append(w.ids, id)
	}
	if len(w.ids) > maxListed {
		return Whom{}, fmt.Errorf("%d identities are more than the %d that can be listed", len(w.ids), maxListed)
	}
	return w, nil
}

// String returns what ParseWhom reads.
func (w Whom) String() string {
	return [...]string{unset: "", nobody: "none", bridges: "bridges", everybody: "all", listed: strings.Join(w.ids, ",")}[w.kind]
}

// Equal reports whether two choices are the same.
func (w Whom) Equal(other Whom) bool { return w.kind == other.kind && slices.Equal(w.ids, other.ids) }

// Includes reports whether something is accepted from the edge with an identity, which
// has proved it, or nil; is says whether it is a bridge that may speak for hosts.
func (w Whom) Includes(id []byte, isBridge bool) bool {
	switch w.kind {
	case everybody:
		return true
	case bridges:
		return isBridge
	case listed:
		text := hex.EncodeToString(id)
		return slices.ContainsFunc(w.ids, func(known string) bool { return strings.HasPrefix(text, known) })
	}
	return false
}

// May reports whether something is accepted from an edge because of its identity, of which
// only the beginning may be known.
func (w Whom) May(beginning []byte) bool {
	text := hex.EncodeToString(beginning)
	return w.kind == everybody || w.kind == listed && slices.ContainsFunc(w.ids, func(known string) bool {
		return strings.HasPrefix(text, known) || strings.HasPrefix(known, text)
	})
}

// Policy is what an edge accepts from others.
type Policy struct {
	Bridges Whom // whose frames of hosts; default: all bridges
	DHCP    Whom // whose answers to DHCP clients; default: see Defaults
	Routers Whom // whose router advertisements; default: see Defaults
}

// Defaults fills in what the user did not say. A bridge lets servers and routers behind
// other bridges through to its hosts. A plain edge lets none through to its machine,
// which has its address from the supernode or its user; if it wants one by DHCP it
// takes the answer of whoever serves, since one dhcpd on one edge is how n2n is used.
func (p Policy) Defaults(isBridge, wantsDHCP bool) Policy {
	servers, routers := Nobody, Nobody
	if isBridge {
		servers, routers = Bridges, Bridges
	}
	if wantsDHCP {
		servers = Everybody
	}
	return Policy{Bridges: p.Bridges.Or(Everybody), DHCP: p.DHCP.Or(servers), Routers: p.Routers.Or(routers)}
}

// Rights returns what an edge may do that has proved an identity, or nil, and that
// announced to be a bridge or did not.
func (p Policy) Rights(id []byte, announced bool) (r Rights) {
	hosts := announced && p.Bridges.Includes(id, true)
	if hosts {
		r |= SpeakForHosts
	}
	if p.DHCP.Includes(id, hosts) {
		r |= ServeDHCP
	}
	if p.Routers.Includes(id, hosts) {
		r |= Advertise
	}
	return r
}
