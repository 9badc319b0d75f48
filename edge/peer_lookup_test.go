package edge

import (
	"fmt"
	"strings"
	"testing"

	"hedgerow/crypto"
)

// Whom a person means, and what they are told when nobody is meant.
func TestLookUpPeer(t *testing.T) {
	e := newEdge(t, nil)
	const nobody = `no other edge is known yet`
	if _, err := e.peers.lookUp("roof", e.self); err == nil || err.Error() != nobody {
		t.Errorf("%v", err)
	}
	roof, one, two := e.met(2, "roof"), e.met(3, "twin"), e.met(4, "twin")
	id := func(p *peer) string { return crypto.ShortID(p.identity.statement.ID[:]) }
	for _, text := range []string{"roof", roof.view.MAC().String(), "10.64.0.2", id(roof), strings.ToUpper(id(roof))[:6]} {
		if p, err := e.peers.lookUp(text, e.self); p != roof || err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	e.introduced(5)
	const unnamed = ". A name is known from the first traffic on; type an address or identity"
	if _, err := e.peers.lookUp("cellar", e.self); err == nil || !strings.HasSuffix(err.Error(), unnamed) {
		t.Errorf("%v", err)
	}
	e.peers.meet(noon, testIdentity(5).Static).about.Name = "zoo"
	twins := []string{fmt.Sprintf("twin (%s)", id(one)), fmt.Sprintf("twin (%s)", id(two))}
	if twins[0] > twins[1] {
		twins[0], twins[1] = twins[1], twins[0]
	}
	both := strings.Join(twins, ", ")
	for text, want := range map[string]string{
		"twin":      `"twin" may be each of ` + both + `: type its hardware address or identity`,
		"tested":    `"tested" is this edge itself`,
		"cellar":    `no edge is called "cellar". There are: roof, ` + both + ", zoo",
		id(one)[:3]: `no edge is called "` + id(one)[:3] + `". There are: roof, ` + both + ", zoo",
		"":          `no edge is called "". There are: roof, ` + both + ", zoo",
	} {
		if _, err := e.peers.lookUp(text, e.self); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
