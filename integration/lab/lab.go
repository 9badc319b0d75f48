//go:build linux

package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A Lab is one small internet. Its methods may be called from several
// goroutines.
type Lab struct {
	name     string
	internet *Internet

	mu     sync.Mutex
	spaces []*Namespace
	links  []end // every end of every veth pair
	plain  bool  // no offloads on the links, those to come included
	closed bool
}

// errClosed is the error of every method after Close.
var errClosed = errors.New("lab: closed")

// New makes a lab that holds nothing but its internet. The name appears in
// errors only, so two labs may have the same. It fails without the rights of
// Available.
func New(name string) (*Lab, error) {
	l := &Lab{name: name}
	internet, err := newInternet(l)
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("lab %s: internet: %w", name, err)
	}
	l.internet = internet
	return l, nil
}

// ForTest makes a lab that ends with the test, and skips the test where no lab
// can be made (see Require).
func ForTest(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	l, err := New(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Must returns v, and panics if there is an error: for tests, where a panic
// names the line and leaves nothing behind either.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Name returns the name given to New.
func (l *Lab) Name() string { return l.name }

// Internet returns the router that all public addresses are reached through.
func (l *Lab) Internet() *Internet { return l.internet }

// Close kills every process in the lab's namespaces, stops all captures, and
// releases the namespaces to the kernel, which removes them when the caller has
// closed the sockets that Do, ListenUDP and the like opened there. It may be
// called twice; nothing else may be going on in the lab.
func (l *Lab) Close() error {
	l.mu.Lock()
	spaces := slices.Clone(l.spaces)
	l.spaces, l.closed = nil, true
	l.mu.Unlock()

	var errs []error
	if err := killInside(spaces); err != nil {
		errs = append(errs, err)
	}
	for _, n := range spaces {
		errs = append(errs, n.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("lab %s: close: %w", l.name, err)
	}
	return nil
}

// namespace adds a namespace to the lab. Names are unique within it, since they
// name the links of the internet.
func (l *Lab) namespace(name string) (*Namespace, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if err := l.freshName(name); err != nil {
		return nil, err
	}
	n, err := newNamespace(l, name)
	if err != nil {
		return nil, err
	}
	l.spaces = append(l.spaces, n)
	return n, nil
}

// freshName refuses, before anything is made, a name that cannot be given.
func (l *Lab) freshName(name string) error {
	if len(name) == 0 || len(name) > 15 || strings.ContainsAny(name, "/:. \t\n") {
		return fmt.Errorf("the name %q cannot be that of a link (1 to 15 bytes)", name)
	}
	if slices.Contains([]string{"lo", "all", "default", HostLink, WANLink, LANLink}, name) {
		return fmt.Errorf("the name %q is one of the lab's own", name)
	}
	for _, n := range l.spaces {
		if n.name == name {
			return fmt.Errorf("the name %q is taken", name)
		}
	}
	return nil
}
