package supernode

import "testing"

// TestVerify holds the rules of the registry against one that serves two communities,
// and against one that is damaged.
func TestVerify(t *testing.T) {
	r := newRig(t, Config{})
	r.edge(testCommunity("one", "k"), "a", 1).join()
	r.edge(testCommunity("one", "k"), "b", 2).join()
	r.edge(testCommunity("two", "k"), "c", 3).join()
	if err := r.s.Verify(); err != nil {
		t.Errorf("a registry that serves: %v", err)
	}
	r.s.registry.online++
	defer func() { r.s.registry.online-- }()
	if err := r.s.Verify(); err == nil {
		t.Error("an edge that is counted and not there is not found")
	}
}
