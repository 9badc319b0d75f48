// Package keysocket gets the keys of a community from a program that keeps them, by a Unix
// socket.
package keysocket

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"hedgerow/crypto"
)

const (
	timeout   = 30 * time.Second // in which a keeper of keys has to answer
	askEvery  = 5 * time.Minute  // unless it says that it has other keys
	leastWait = 2 * time.Second  // between two questions
)

// end is the line behind the community file of a keeper that goes on.
const end = "."

// Source asks a program that keeps keys, such as the agent of a vault, by a Unix
// stream socket. The edge connects, sends the community's name and a newline, and reads a
// community file of up to crypto.MaxKeyFile bytes, within 30 s. The file ends where the keeper
// closes the connection, or with a line that is a dot alone. After the dot the keeper may
// hold the connection, and close it when it has other keys: the edge asks again at once.
//
// The socket has to belong to root or to this user, and to be closed to other users. Use it
// through a pointer. Load and Changed may run at once.
type Source struct {
	Path          string
	Every         time.Duration // how often to ask again all the same; zero means 5 minutes
	CommunityName string        // the wanted community; empty: any

	mu   sync.Mutex
	held net.Conn // by which the keeper tells of other keys; nil: it does not
}

// Load asks the keeper once.
func (s *Source) Load(ctx context.Context) (*crypto.Community, error) {
	if err := crypto.CheckKeySocket(s.Path); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(limited, "unix", s.Path)
	if err != nil {
		return nil, fmt.Errorf("nobody keeps keys at the socket %s: %w", s.Path, err)
	}
	stop := context.AfterFunc(limited, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	b, goesOn, err := s.ask(conn)
	if !stop() && err == nil {
		err = limited.Err()
	}
	if err == nil && goesOn {
		s.hold(conn)
	} else {
		s.hold(nil)
		_ = conn.Close()
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, fmt.Errorf("the keeper of keys at %s gave no whole answer within %v", s.Path, timeout)
	case err != nil:
		return nil, fmt.Errorf("the keeper of keys at %s: %w", s.Path, err)
	}
	c, err := crypto.ParseCommunity(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer of the keeper of keys at %s: %w", s.Path, err)
	case s.CommunityName != "" && c.Name != s.CommunityName:
		return nil, fmt.Errorf("the keeper of keys at %s gave the keys of %q, not of %q, which it was asked for", s.Path, c.Name, s.CommunityName)
	}
	return c, nil
}

// ask sends the question and returns the answer, and whether the keeper goes on after it.
func (s *Source) ask(conn net.Conn) (answer []byte, goesOn bool, err error) {
	// A keeper that reads no question may have answered and gone: what it wrote is there.
	_, _ = io.WriteString(conn, s.CommunityName+"\n")
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // for keepers that read to the end; others do not mind
	}
	lines := bufio.NewReader(io.LimitReader(conn, crypto.MaxKeyFile+1))
	for {
		line, err := lines.ReadBytes('\n')
		if string(bytes.TrimRight(line, "\r\n")) == end {
			return answer, err == nil, nil
		}
		if answer = append(answer, line...); len(answer) > crypto.MaxKeyFile {
			return nil, false, fmt.Errorf("it wrote more than %d bytes: it must write one community file", crypto.MaxKeyFile)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) { // it left the question unread
			return answer, false, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// hold keeps a connection by which the keeper tells of other keys, and closes the former
// one.
func (s *Source) hold(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		_ = s.held.Close()
	}
	if s.held = conn; conn != nil {
		_ = conn.SetDeadline(time.Time{})
	}
}

// Changed waits for Every, or until the keeper closes the connection that it holds, but
// for 2 s at least: a keeper that closes at once would be asked without an end.
func (s *Source) Changed(ctx context.Context) error {
	every := s.Every
	if every <= 0 {
		every = askEvery
	}
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	told, least := make(chan struct{}), time.NewTimer(leastWait)
	defer least.Stop()
	if held != nil {
		stop := context.AfterFunc(ctx, func() { _ = held.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		_ = held.SetReadDeadline(time.Now().Add(every))
		go func() {
			defer close(told)
			_, _ = io.Copy(io.Discard, io.LimitReader(held, crypto.MaxKeyFile)) // what it writes says nothing
		}()
	} else {
		timer := time.AfterFunc(every, func() { close(told) })
		defer timer.Stop()
	}
	select {
	case <-told:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-least.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
