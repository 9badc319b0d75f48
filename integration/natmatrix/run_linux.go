package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/rig"
)

const (
	// inTime is within what a direct path must be there.
	inTime = 3 * time.Second
	// watch is how long a path is looked at that does not become direct, and
	// after is how long after it did.
	watch = 4 * time.Second
	after = 500 * time.Millisecond
	// mostConnections is how many entries a router's connection table may hold
	// after ports were guessed.
	mostConnections = 1300
)

// An outcome is what one run gave.
type outcome struct {
	Cell     string
	Number   int
	Opener   string       // the edge that sent the first frame
	Path     control.Path // at the end, of the one that is worse off
	Endpoint string       `json:",omitempty"` // where A and B are reached directly, with a space between
	Direct   float64      // seconds from the first frame until both were direct; 0: they were not
	Sent     int          // datagrams that were to come back
	Lost     int          // and did not
	// Connections is the number of entries in the routers' connection tables.
	Connections []int  `json:",omitempty"`
	Missed      string `json:",omitempty"` // why it is not what must be
	logs        string
}

// perform runs a cell once. Only what keeps all cells from being run is an
// error; everything else is a miss.
func perform(ctx context.Context, programs rig.Programs, c cell, number int) (o outcome, err error) {
	o = outcome{Cell: c.name, Number: number, Opener: "a", Path: control.PathNone}
	if c.opener == byB || number%2 == 1 {
		o.Opener = "b"
	}
	s, err := stage(ctx, programs, c)
	if err == nil {
		err = s.play(ctx, &o)
	}
	if err != nil {
		o.Missed = err.Error()
	} else {
		o.Missed = c.want.miss(o, s.ground)
	}
	if o.Missed != "" {
		o.logs = s.logs()
	}
	if err := s.close(); err != nil {
		return o, err
	}
	return o, ctx.Err()
}

// play sends the first frame and looks what becomes of it.
func (s *scene) play(ctx context.Context, o *outcome) error {
	from, to := s.a, s.b
	if o.Opener == "b" {
		from, to = s.b, s.a
	}
	f, err := startFlow(from.Host, to.Host, from.overlay, to.overlay)
	if err != nil {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	var sender sync.WaitGroup
	began := time.Now()
	sender.Go(func() { f.run(sending) })
	err = s.observe(ctx, began, o)
	stop()
	sender.Wait()
	o.Sent, o.Lost = f.finish()
	if err != nil {
		return err
	}
	for _, r := range s.ground.routers {
		n, err := r.Connections()
		if err != nil {
			return err
		}
		o.Connections = append(o.Connections, n)
	}
	return nil
}

// observe asks both edges until they have been direct for a while, or for too
// long a time are not.
func (s *scene) observe(ctx context.Context, began time.Time, o *outcome) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for end := began.Add(watch); time.Now().Before(end); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		b, err := s.a.peer(ctx, s.b.Name)
		if err != nil {
			return err
		}
		a, err := s.b.peer(ctx, s.a.Name)
		if err != nil {
			return err
		}
		o.Path, o.Endpoint = worse(a.Path, b.Path), ""
		if o.Path != control.PathDirect {
			continue
		}
		o.Endpoint = a.Endpoint + " " + b.Endpoint
		if o.Direct == 0 {
			o.Direct = time.Since(began).Seconds()
			end = time.Now().Add(after)
		}
	}
	return nil
}

// worse is none if one of the paths is, else the one that is not direct, if one
// is not.
func worse(a, b control.Path) control.Path {
	switch {
	case a == "" || b == "":
		return control.PathNone
	case a == control.PathDirect || b == control.PathNone:
		return b
	}
	return a
}

// miss says why an outcome is not what must be; empty: it is.
func (e expectation) miss(o outcome, g ground) string {
	direct := o.Path == control.PathDirect
	relayed := !direct && o.Path != control.PathNone && o.Direct == 0
	switch {
	case !direct && !relayed && o.Direct > 0:
		return fmt.Sprintf("direct after %.2f s, and at the end the path is %q", o.Direct, o.Path)
	case !direct && !relayed:
		return fmt.Sprintf("at the end the path is %q", o.Path)
	case relayed && o.Lost > 0 && e != wantDirect && e != wantBirthday:
		return fmt.Sprintf("%d of %d lost by the relay", o.Lost, o.Sent)
	case direct && e == wantRelay:
		return fmt.Sprintf("direct after %.2f s (%s)", o.Direct, o.Endpoint)
	case direct && !within(o.Endpoint, g.direct):
		return fmt.Sprintf("direct at %s, which is not in %v", o.Endpoint, g.direct)
	case e == wantRelay, e == wantEither:
		return ""
	case !direct:
		return fmt.Sprintf("not direct after %v", watch)
	case o.Direct > inTime.Seconds():
		return fmt.Sprintf("direct after %.2f s only", o.Direct)
	case e == wantBirthday && slices.Max(append(o.Connections, 0)) > mostConnections:
		return fmt.Sprintf("the routers hold %v connections", o.Connections)
	}
	return ""
}

// discardOnly is where an edge says that a path by another socket of its own is:
// the number of the socket, in addresses that are nowhere (RFC 6666).
var discardOnly = netip.MustParsePrefix("100::/64")

// within reports whether all of the addresses, with spaces between, are in one
// of the prefixes, if they are known; no prefixes stand for everywhere.
func within(endpoints string, prefixes []netip.Prefix) bool {
	if len(prefixes) == 0 {
		return true
	}
	for text := range strings.FieldsSeq(endpoints) {
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			return false
		}
		in := func(p netip.Prefix) bool { return p.Contains(a.Addr().WithZone("")) }
		if !in(discardOnly) && !slices.ContainsFunc(prefixes, in) {
			return false
		}
	}
	return true
}
