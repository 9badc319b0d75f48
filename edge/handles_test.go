package edge

import "testing"

// A supernode that names one handle for two peers, and then another for the second,
// leaves none of them with a handle by which nobody is found.
func TestHandleOfTwoPeers(t *testing.T) {
	v := registered(t, nil)
	first, second := v.met(2, "first"), v.met(3, "second")
	v.peers.setHandle(first, 0, 70)
	v.peers.setHandle(second, 0, 70)
	if v.peers.handled(0, 70) != second || first.handles[0] != 0 {
		t.Errorf("the former holder's handle is %d", first.handles[0])
	}
	v.peers.setHandle(second, 0, 71)
	v.settle(noon)
	if err := verify(v.Edge, noon); err != nil {
		t.Error(err)
	}
}
