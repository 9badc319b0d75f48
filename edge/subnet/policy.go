package subnet

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"hedgerow/crypto"
)

// maxListed bounds how many edges and networks one option names.
const maxListed = 256

// Policy is which networks behind other edges are accepted. Its zero value accepts none.
type Policy struct {
	// Exit is how the identity of the edge begins whose default routes are accepted, in
	// hexadecimal digits; empty: nobody's are.
	Exit string

	all      bool
	ids      []string // hexadecimal digits that an identity begins with
	networks []netip.Prefix
}

// ParsePolicy reads "all", "none", or identities and networks with commas between them.
// With identities only networks behind these edges are accepted, with networks only those
// within one of these.
func ParsePolicy(s string) (Policy, error) {
	switch s {
	case "all":
		return Policy{all: true}, nil
	case "none":
		return Policy{}, nil
	}
	var p Policy
	for text := range strings.SplitSeq(s, ",") {
		if err := p.add(strings.TrimSpace(text)); err != nil {
			return Policy{}, err
		}
	}
	if n := len(p.ids) + len(p.networks); n > maxListed {
		return Policy{}, fmt.Errorf("%d identities and networks are more than the %d that can be listed", n, maxListed)
	}
	return p, nil
}

// add reads an identity or a network.
func (p *Policy) add(text string) error {
	if strings.Contains(text, "/") {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("%q is not a network such as 192.168.7.0/24", text)
		}
		if IsDefault(n) {
			return fmt.Errorf("%s is a default route, which --exit with the identity of one edge accepts", text)
		}
		if n != n.Masked() {
			return fmt.Errorf("%s is a host in a network: the network is %s", text, n.Masked())
		}
		p.networks = append(p.networks, n)
		return nil
	}
	id, ok := crypto.ParseID(text)
	if !ok {
		return fmt.Errorf("%q is neither a network nor an identity such as 9f3a-71c2-e0b4, which 'edge peers' shows: type all, none, or identities and networks with commas between them", text)
	}
	p.ids = append(p.ids, id)
	return nil
}

// None reports whether nothing can be accepted.
func (p *Policy) None() bool { return !p.all && len(p.ids)+len(p.networks) == 0 && p.Exit == "" }

// Fault says why a network is not accepted from the edge with an identity, which has
// proved it, in words that follow the network; empty: it is.
func (p *Policy) Fault(id []byte, n netip.Prefix) string {
	text := hex.EncodeToString(id)
	begins := func(known string) bool { return strings.HasPrefix(text, known) }
	named := Within(n, p.networks)
	switch fault := Fault(n); {
	case IsDefault(n) && p.Exit != "" && begins(p.Exit):
		return ""
	case IsDefault(n):
		return "is a default route, and that is taken from the edge alone that --exit names"
	case fault != "":
		return fault
	case p.all:
	case len(p.ids)+len(p.networks) == 0, len(p.ids) > 0 && !slices.ContainsFunc(p.ids, begins), len(p.networks) > 0 && !named:
		return "is not accepted: --accept-routes names what is"
	}
	if !named && !OfOverlays(n) {
		return "is public: it is taken only if --accept-routes names the network"
	}
	return ""
}

// Equal reports whether two policies are the same.
func (p Policy) Equal(q Policy) bool {
	return p.Exit == q.Exit && p.all == q.all && slices.Equal(p.ids, q.ids) && slices.Equal(p.networks, q.networks)
}
