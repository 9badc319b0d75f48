package render

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"hedgerow/supernode/admin"
)

func TestListings(t *testing.T) {
	document(t, "supernode-communities", SupernodeCommunities)
	document(t, "supernode-edges", SupernodeEdges)
	for name, err := range map[string]error{
		"communities": SupernodeCommunities(full{}, admin.Communities{Communities: []admin.CommunityStatus{{}}}), "none": SupernodeCommunities(full{}, admin.Communities{}),
		"edges": SupernodeEdges(full{}, admin.Edges{Edges: []admin.Edge{{}}}), "no edges": SupernodeEdges(full{}, admin.Edges{}),
		"changes of communities": SupernodeCommunityChanges(full{}, admin.Communities{}, admin.Communities{Communities: []admin.CommunityStatus{{}}}),
		"changes of edges":       SupernodeEdgeChanges(full{}, admin.Edges{}, admin.Edges{Edges: []admin.Edge{{}}}),
	} {
		if err != io.ErrShortWrite {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestListingChanges tells what came, changed and went, and what was relayed a second.
func TestListingChanges(t *testing.T) {
	over := &admin.Excess{Packets: 3, AgeS: 1, Limit: admin.LimitBytes}
	edge := func(id string, bytes uint64, limited *admin.Excess) admin.Edge {
		return admin.Edge{Community: strings.Repeat("0f", 16), ID: id, Identity: id, Relayed: admin.Traffic{Bytes: bytes}, Limited: limited, Underlay: admin.Underlay{Transport: admin.TransportUDP}}
	}
	var b bytes.Buffer
	before := admin.Edges{UptimeS: 10, Edges: []admin.Edge{edge("idle", 5, nil), edge("busy", 1000, nil), edge("greedy", 0, nil), edge("gone", 0, nil), edge("again", 900, nil)}}
	after := admin.Edges{UptimeS: 12, Edges: []admin.Edge{edge("idle", 5, nil), edge("busy", 3_001_000, nil), edge("greedy", 0, over), edge("new", 7, nil), edge("again", 100, nil)}}
	if err := SupernodeEdgeChanges(&b, before, after); err != nil {
		t.Fatal(err)
	}
	const row = "  -  udp -"
	if want := "> 0f0f0f0f0f0f  busy" + row + "  relayed 1.5M/s\n> 0f0f0f0f0f0f  greedy" + row + "  relayed 0/s  limited: bytes of the edge\n" +
		"+ 0f0f0f0f0f0f  new" + row + "\n> 0f0f0f0f0f0f  again" + row + "\n- 0f0f0f0f0f0f  gone" + row + "\n"; b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	community := func(id, label string, edges int, floods uint64) admin.CommunityStatus {
		return admin.CommunityStatus{ID: id, Label: label, Edges: edges, Leases: 3, Relayed: admin.Traffic{FloodBytes: floods}}
	}
	if err := SupernodeCommunityChanges(&b,
		admin.Communities{UptimeS: 1, Communities: []admin.CommunityStatus{community("a", "roofs", 1, 0), community("b", "", 1, 0), community("c", "", 1, 0)}},
		admin.Communities{UptimeS: 2, Communities: []admin.CommunityStatus{community("a", "roofs", 2, 4000), community("b", "", 1, 0), community("d\x1b", "", 1, 0)}},
	); err != nil {
		t.Fatal(err)
	}
	if want := "> roofs  2 edges, 3 leased  relayed 4.0k/s\n+ d\uFFFD  1 edge, 3 leased\n- c  1 edge, 3 leased\n"; b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}

// A status with the largest communities alone says how many there are.
func TestStatusOfManyCommunities(t *testing.T) {
	var b bytes.Buffer
	v := admin.Status{Communities: make([]admin.CommunityStatus, 2), Totals: admin.Totals{Communities: 7}}
	if err := SupernodeStatus(&b, v); err != nil || !strings.Contains(b.String(), "in 7 communities") || !strings.Contains(b.String(), "and 5 more: 'supernode communities' shows all\n") {
		t.Errorf("%v: %s", err, b.String())
	}
}
