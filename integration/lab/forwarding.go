//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Forwarding is what may be done to the datagrams that a router forwards, in
// either direction and family: count, lose and block them. Frames between two
// hosts of one home are not forwarded.
type Forwarding struct {
	space *Namespace

	mu      sync.Mutex
	blocked map[netip.Addr]struct{}
}

// Traffic says which of the forwarded datagrams SetLoss drops.
type Traffic uint8

const (
	// UDP is UDP over both families.
	UDP Traffic = iota
	// AllTraffic is everything, ICMP and TCP included.
	AllTraffic
)

// A Count is a number of IP packets and of their bytes, IP headers included.
type Count struct{ Packets, Bytes uint64 }

// Counters is what a router has forwarded, and what it has not.
type Counters struct {
	Forwarded Count // everything that came to be forwarded, lost and blocked included
	Lost      Count // dropped by SetLoss
	Blocked   Count // dropped by Block
	Oversize  Count // longer than a link's MTU: an offload joined several datagrams
}

// lossParts is the resolution of SetLoss: parts in a whole.
const lossParts = 10_000

// newForwarding installs the table inet lab:
//
//	forward: counter forwarded ; meta length > 1500 counter oversize
//	         ip/ip6 daddr/saddr @hole counter blocked drop ; jump loss
func newForwarding(n *Namespace) (*Forwarding, error) {
	f := &Forwarding{space: n, blocked: make(map[netip.Addr]struct{})}
	r, err := f.rules()
	if err != nil {
		return nil, err
	}
	r.AddTable(r.table)
	for _, name := range []string{"forwarded", "lost", "blocked", "oversize"} {
		r.AddObj(&nftables.CounterObj{Table: r.table, Name: name})
	}
	loss := r.AddChain(&nftables.Chain{Table: r.table, Name: "loss"})
	// Before every chain that may decide, so that all is counted.
	chain := r.base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward,
		*nftables.ChainPriorityFilter-10, nftables.ChainPolicyAccept)
	r.rule(chain, count("forwarded"))
	r.rule(chain, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyLEN, Register: 1}, hostOrder(),
		&expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: hton32(linkMTU)},
	}, count("oversize"))
	for _, hole := range []*nftables.Set{r.hole(false), r.hole(true)} {
		if err := r.AddSet(hole, nil); err != nil {
			return nil, err
		}
		// Source and destination in the header, after version and lengths.
		family, source, length := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
		if hole.KeyType == nftables.TypeIP6Addr {
			family, source, length = unix.NFPROTO_IPV6, 8, 16
		}
		for _, offset := range []uint32{source, source + length} {
			r.rule(chain, nfproto(family), []expr.Any{
				network(offset, length),
				&expr.Lookup{SourceRegister: 1, SetName: hole.Name, SetID: hole.ID},
			}, count("blocked"), drop())
		}
	}
	r.rule(chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: loss.Name}})
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

// hole is the set of blocked addresses of one family.
func (r *ruleset) hole(six bool) *nftables.Set {
	if six {
		return &nftables.Set{Table: r.table, Name: "hole6", ID: 2, KeyType: nftables.TypeIP6Addr}
	}
	return &nftables.Set{Table: r.table, Name: "hole4", ID: 1, KeyType: nftables.TypeIPAddr}
}

// SetLoss drops this share of the forwarded datagrams at random, from 0 (none,
// the start) to 100 percent. Links that join datagrams into one packet would
// lose them together: the first loss turns the offloads of the whole lab off.
func (f *Forwarding) SetLoss(percent float64, which Traffic) error {
	if !(percent >= 0 && percent <= 100) {
		return fmt.Errorf("%s: loss of %v percent", f.space.name, percent)
	}
	r, err := f.rules()
	if err != nil {
		return err
	}
	loss := &nftables.Chain{Table: r.table, Name: "loss"}
	r.FlushChain(loss)
	if parts := uint32(percent * lossParts / 100); parts > 0 {
		if err := f.space.lab.DisableOffloads(); err != nil {
			return err
		}
		var match []expr.Any
		if which == UDP {
			match = l4proto(unix.IPPROTO_UDP)
		}
		r.rule(loss, match, []expr.Any{
			&expr.Numgen{Register: 1, Modulus: lossParts, Type: unix.NFT_NG_RANDOM}, hostOrder(),
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: hton32(parts)},
		}, count("lost"), drop())
	}
	if err := r.Flush(); err != nil {
		return fmt.Errorf("%s: loss: %w", f.space.name, err)
	}
	return nil
}

// Block drops everything forwarded to or from an address, silently: a black
// hole. On a home router the address is that of the far side. It may be called
// again for the same address.
func (f *Forwarding) Block(a netip.Addr) error {
	return f.setBlocked(a, true)
}

// Unblock ends Block, and does nothing when the address is not blocked.
func (f *Forwarding) Unblock(a netip.Addr) error {
	return f.setBlocked(a, false)
}

func (f *Forwarding) setBlocked(a netip.Addr, block bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, is := f.blocked[a]; is == block {
		return nil
	}
	r, err := f.rules()
	if err != nil {
		return err
	}
	change := r.SetAddElements
	if !block {
		change = r.SetDeleteElements
	}
	if err := change(r.hole(a.Is6()), []nftables.SetElement{{Key: a.AsSlice()}}); err != nil {
		return err
	}
	if err := r.Flush(); err != nil {
		return fmt.Errorf("%s: block %s: %w", f.space.name, a, err)
	}
	if block {
		f.blocked[a] = struct{}{}
	} else {
		delete(f.blocked, a)
	}
	return nil
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
		"forwarded": &c.Forwarded, "lost": &c.Lost, "blocked": &c.Blocked, "oversize": &c.Oversize,
	}
	for _, o := range objects {
		if counter, ok := o.(*nftables.CounterObj); ok && into[counter.Name] != nil {
			*into[counter.Name] = Count{counter.Packets, counter.Bytes}
		}
	}
	return c, nil
}
