//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An addressFamily is where the addresses are in an IP header, and the sets
// that hold those which are blocked.
type addressFamily struct {
	protocol       byte
	source, length uint32 // in bytes; the destination follows the source
	key            nftables.SetDatatype
	hole, cut      string
	holeID, cutID  uint32 // within a transaction
}

var addressFamilies = []addressFamily{
	{unix.NFPROTO_IPV4, 12, 4, nftables.TypeIPAddr, "hole4", "cut4", 1, 2},
	{unix.NFPROTO_IPV6, 8, 16, nftables.TypeIP6Addr, "hole6", "cut6", 3, 4},
}

func familyOf(a netip.Addr) addressFamily {
	if a.Is4() {
		return addressFamilies[0]
	}
	return addressFamilies[1]
}

// holeSet holds blocked addresses, and cutSet pairs of source and destination.
func (r *ruleset) holeSet(f addressFamily) *nftables.Set {
	return &nftables.Set{Table: r.table, Name: f.hole, ID: f.holeID, KeyType: f.key}
}

func (r *ruleset) cutSet(f addressFamily) *nftables.Set {
	return &nftables.Set{Table: r.table, Name: f.cut, ID: f.cutID, KeyType: nftables.MustConcatSetType(f.key, f.key)}
}

// closed adds the rules that drop what is in the sets.
func (r *ruleset) closed(chain *nftables.Chain) error {
	for _, f := range addressFamilies {
		hole, cut := r.holeSet(f), r.cutSet(f)
		for _, set := range []*nftables.Set{hole, cut} {
			if err := r.AddSet(set, nil); err != nil {
				return err
			}
		}
		for _, part := range []struct {
			set            *nftables.Set
			offset, length uint32
		}{
			{hole, f.source, f.length},
			{hole, f.source + f.length, f.length},
			{cut, f.source, 2 * f.length},
		} {
			r.rule(chain, nfproto(f.protocol), []expr.Any{
				network(part.offset, part.length),
				&expr.Lookup{SourceRegister: 1, SetName: part.set.Name, SetID: part.set.ID},
			}, count("blocked"), drop())
		}
	}
	return nil
}

// Block drops everything forwarded to or from an address, silently: a black
// hole. On a home router the address is that of the far side. It may be called
// again for the same address.
func (f *Forwarding) Block(a netip.Addr) error { return f.setHole(a, true) }

// Unblock ends Block, and does nothing when the address is not blocked.
func (f *Forwarding) Unblock(a netip.Addr) error { return f.setHole(a, false) }

func (f *Forwarding) setHole(a netip.Addr, block bool) error {
	set := func(r *ruleset) *nftables.Set { return r.holeSet(familyOf(a)) }
	if err := f.change(set, block, a.AsSlice()); err != nil {
		return fmt.Errorf("%s: block %s: %w", f.space.name, a, err)
	}
	return nil
}

// Cut drops everything forwarded between two addresses of one family, in both
// directions, silently. Both go on to reach everybody else. It may be called
// again for the same two.
func (f *Forwarding) Cut(a, b netip.Addr) error { return f.setCut(a, b, true) }

// Heal ends Cut, and does nothing when nothing is cut between the two.
func (f *Forwarding) Heal(a, b netip.Addr) error { return f.setCut(a, b, false) }

func (f *Forwarding) setCut(a, b netip.Addr, cut bool) error {
	if a.Is4() != b.Is4() {
		return fmt.Errorf("%s: cut: %s and %s are of two families", f.space.name, a, b)
	}
	set := func(r *ruleset) *nftables.Set { return r.cutSet(familyOf(a)) }
	there, back := slices.Concat(a.AsSlice(), b.AsSlice()), slices.Concat(b.AsSlice(), a.AsSlice())
	if err := f.change(set, cut, there, back); err != nil {
		return fmt.Errorf("%s: cut %s from %s: %w", f.space.name, a, b, err)
	}
	return nil
}

// change adds keys to a set or removes them, unless they are as they should be,
// which the kernel would refuse.
func (f *Forwarding) change(set func(*ruleset) *nftables.Set, in bool, keys ...[]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.rules()
	if err != nil {
		return err
	}
	s := set(r)
	var elements []nftables.SetElement
	var names []string
	for _, k := range keys {
		name := s.Name + string(k)
		if _, is := f.blocked[name]; is != in && !slices.Contains(names, name) {
			elements, names = append(elements, nftables.SetElement{Key: k}), append(names, name)
		}
	}
	if len(elements) == 0 {
		return nil
	}
	apply := r.SetAddElements
	if !in {
		apply = r.SetDeleteElements
	}
	if err := apply(s, elements); err != nil {
		return err
	}
	if err := r.Flush(); err != nil {
		return err
	}
	for _, name := range names {
		if in {
			f.blocked[name] = struct{}{}
		} else {
			delete(f.blocked, name)
		}
	}
	return nil
}
