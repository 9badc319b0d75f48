//go:build linux

package lab

import (
	"fmt"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Forwarding counts, loses, limits and blocks the datagrams that a router
// forwards, in either direction and family. Frames between two hosts of one home
// are not forwarded.
type Forwarding struct {
	space *Namespace

	mu      sync.Mutex
	blocked map[string]struct{} // keys of the sets of blocked and cut
}

// Traffic selects the forwarded datagrams of a condition.
type Traffic uint8

const (
	// UDP is UDP over both families.
	UDP Traffic = iota
	// AllTraffic is everything, ICMP and TCP included.
	AllTraffic
)

// match is nothing for AllTraffic.
func (t Traffic) match() []expr.Any {
	if t == UDP {
		return l4proto(unix.IPPROTO_UDP)
	}
	return nil
}

// A Count is a number of IP packets and of their bytes, IP headers included.
type Count struct{ Packets, Bytes uint64 }

// Counters are the datagrams that a router has forwarded and dropped.
type Counters struct {
	Forwarded Count // everything that came to be forwarded, lost and blocked included
	Lost      Count // dropped by SetLoss
	Policed   Count // dropped by SetPolicer
	Blocked   Count // dropped by Block, Cut and BlockUDP
	TooLong   Count // dropped by SetSizeHole; not part of Forwarded
	Expired   Count // dropped by SetHops
	Oversize  Count // longer than a link's MTU: an offload joined several datagrams
}

// newForwarding installs the table inet lab. The chains that are jumped to, and
// that of sizes, are empty until a condition is set.
//
//	forward: counter forwarded ; meta length > 1500 counter oversize
//	         ip/ip6 daddr/saddr @hole counter blocked drop
//	         ip/ip6 saddr . daddr @cut counter blocked drop
//	         jump udp ; jump hops ; jump loss ; jump policer
//	size:    (prerouting)
func newForwarding(n *Namespace) (*Forwarding, error) {
	f := &Forwarding{space: n, blocked: make(map[string]struct{})}
	r, err := f.rules()
	if err != nil {
		return nil, err
	}
	r.AddTable(r.table)
	for _, name := range []string{"forwarded", "lost", "policed", "blocked", "toolong", "expired", "oversize"} {
		r.AddObj(&nftables.CounterObj{Table: r.table, Name: name})
	}
	// Before the connection table, which puts fragments together.
	r.base(sizeChain, nftables.ChainTypeFilter, nftables.ChainHookPrerouting,
		*nftables.ChainPriorityConntrackDefrag-50, nftables.ChainPolicyAccept)
	// Before every chain that may decide, so that all is counted.
	chain := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward,
		*nftables.ChainPriorityFilter-10, nftables.ChainPolicyAccept)
	r.rule(chain, count("forwarded"))
	r.rule(chain, longerThan(linkMTU), count("oversize"))
	if err := r.closed(chain); err != nil {
		return nil, err
	}
	for _, name := range []string{udpChain, hopsChain, lossChain, policerChain} {
		r.AddChain(&nftables.Chain{Table: r.table, Name: name})
		r.rule(chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: name}})
	}
	if err := r.Flush(); err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	return f, nil
}

func (f *Forwarding) rules() (*ruleset, error) {
	return f.space.rules(nftables.TableFamilyINet, "lab")
}

func count(name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: name}}
}

// longerThan is "meta length > bytes": that of the IP packet.
func longerThan(bytes uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyLEN, Register: 1}, hostOrder(),
		&expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: hton32(bytes)},
	}
}

// Counters reads the counters. They only grow.
func (f *Forwarding) Counters() (Counters, error) {
	r, err := f.rules()
	if err != nil {
		return Counters{}, err
	}
	objects, err := r.GetObjects(r.table)
	if err != nil {
		return Counters{}, fmt.Errorf("%s: counters: %w", f.space.name, err)
	}
	var c Counters
	into := map[string]*Count{
		"forwarded": &c.Forwarded, "lost": &c.Lost, "policed": &c.Policed, "blocked": &c.Blocked,
		"toolong": &c.TooLong, "expired": &c.Expired, "oversize": &c.Oversize,
	}
	for _, o := range objects {
		if counter, ok := o.(*nftables.CounterObj); ok && into[counter.Name] != nil {
			*into[counter.Name] = Count{counter.Packets, counter.Bytes}
		}
	}
	return c, nil
}
