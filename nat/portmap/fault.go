package portmap

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// A fault is why one protocol gave no mapping.
type fault struct {
	kind faultKind
	what string     // the router's reason, for refused and garbled
	addr netip.Addr // the router's own address, for behind
}

// faultKind is in the order of how much it tells: of the faults of several
// protocols the last in this order is reported.
type faultKind uint8

const (
	silent  faultKind = iota // nothing answers
	garbled                  // something answers with what the protocol does not define
	refused                  // the router refuses
	behind                   // the router maps at an address that is not public
)

var errSilent = &fault{kind: silent}

func garbledBy(what string) *fault { return &fault{kind: garbled, what: what} }

func refusedFor(what string) *fault { return &fault{kind: refused, what: what} }

func behindNAT(a netip.Addr) *fault { return &fault{kind: behind, addr: a} }

func (f *fault) Error() string { return f.sentence("router") }

// problem returns the text of Mapping.Problem when a router granted no mapping.
func problem(err error, gateway netip.Addr) string {
	if f, ok := errors.AsType[*fault](err); ok {
		return f.sentence("router at " + gateway.String())
	}
	return err.Error()
}

func (f *fault) sentence(router string) string {
	switch f.kind {
	case garbled:
		return fmt.Sprintf("%s answers what is not understood (%s)", router, f.what)
	case refused:
		return fmt.Sprintf("%s refuses (%s)", router, f.what)
	case behind:
		return fmt.Sprintf("double NAT: the router's own address %s is not public", f.addr)
	}
	return "no router answers"
}

// tellsMore returns the one of two errors that tells more. An error that is no
// fault is of this host, and tells least.
func tellsMore(a, b error) error {
	rank := func(err error) int {
		if f, ok := errors.AsType[*fault](err); ok {
			return int(f.kind) + 1
		}
		return 0
	}
	switch {
	case a == nil:
		return b
	case b == nil || rank(a) >= rank(b):
		return a
	}
	return b
}

// isSilent reports whether a router may yet answer another time.
func isSilent(err error) bool {
	f, ok := errors.AsType[*fault](err)
	return !ok || f.kind == silent
}

// inTime turns a deadline that was missed into the router's silence.
func inTime(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errSilent
	}
	return err
}
