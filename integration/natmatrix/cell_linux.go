package main

import (
	"fmt"
	"net/netip"
	"regexp"

	"hedgerow/integration/lab"
)

// A cell is two places and how edges there must reach each other.
type cell struct {
	name   string
	want   expectation
	lay    func(l *lab.Lab) (ground, error)
	opener opener
	// streams is so where UDP is blocked: the supernodes listen on TCP 443.
	streams bool
}

// opener is which edge sends the first frame.
type opener uint8

const (
	alternate opener = iota // A in even runs, B in odd ones
	byB
)

// A ground is the hosts of a run and what is between them and the internet.
type ground struct {
	a, b    *lab.Host
	decoy   *lab.Host // of a third edge, which nothing must reach
	routers []*lab.Router
	// direct is where an address of a direct path must be; empty: anywhere.
	direct []netip.Prefix
}

// A side is a host of its own behind a NAT of its own, or none.
type side struct {
	name    string
	kind    lab.Kind // the zero Kind: a public host
	blocked bool     // UDP is
	more    []string // of lab.Router
}

// The sides of the matrix, by the names that the cells have.
var (
	public   = side{name: "public"}
	eif      = side{name: "eif", kind: lab.EndpointIndependent}
	adf      = side{name: "adf", kind: lab.AddressRestricted}
	apdf     = side{name: "apdf", kind: lab.PortRestricted}
	port     = side{name: "port", kind: lab.PortReplacing}
	adm      = side{name: "adm", kind: lab.AddressDependent}
	seq      = side{name: "seq", kind: lab.SymmetricSequential}
	block    = side{name: "block", kind: lab.SymmetricBlock(lab.DefaultBlock)}
	random   = side{name: "random", kind: lab.SymmetricRandom}
	udpblock = side{name: "udpblock", kind: lab.UDPBlocked, blocked: true}
	reject   = side{name: "reject", kind: lab.UDPBlockedReject, blocked: true}
	open     = side{name: "openinput", kind: lab.OpenInput}
)

// settle makes the host of a side; number tells the sides of a lab apart.
func (s side) settle(l *lab.Lab, number int) (*lab.Host, *lab.Router, error) {
	host := string(rune('a' + number - 1))
	if s.kind == (lab.Kind{}) {
		h, err := l.Host(host, fmt.Sprintf("192.0.2.%d", number))
		return h, nil, err
	}
	r, err := l.Router("home-"+host, fmt.Sprintf("198.51.100.%d", number), s.kind, s.more...)
	if err != nil {
		return nil, nil, err
	}
	h, err := r.Host(host)
	return h, r, err
}

// apart is the cell of two sides.
func apart(a, b side, want expectation) cell {
	return cell{
		name: a.name + " x " + b.name, want: want, streams: a.blocked || b.blocked,
		lay: func(l *lab.Lab) (g ground, err error) {
			for i, s := range []side{a, b} {
				h, r, err := s.settle(l, i+1)
				if err != nil {
					return g, err
				}
				if r != nil {
					g.routers = append(g.routers, r)
				}
				if i == 0 {
					g.a = h
				} else {
					g.b = h
				}
			}
			return g, nil
		},
	}
}

// choose returns the cells whose names match.
func choose(all []cell, pattern string) (chosen []cell, err error) {
	r, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-cells: %w", err)
	}
	for _, c := range all {
		if r.MatchString(c.name) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-cells %s: no cell has such a name; -list shows them", pattern)
	}
	return chosen, nil
}
