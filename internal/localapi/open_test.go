package localapi

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are in memory.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestServeOpen: clients that send nothing, and such that do not read their answer, have
// their places for 10 s at most.
func TestServeOpen(t *testing.T) {
	for what, request := range map[string]string{"silent": "", "slow": "GET / HTTP/1.1\r\nHost: x\r\nX: ", "does not read": "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			l := &pipes{come: make(chan net.Conn, 100), closed: make(chan struct{})}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
			go func() { served <- ServeOpen(ctx, l, h) }()
			for range 3 * openConnections {
				ours, theirs := net.Pipe()
				l.come <- theirs
				go func() { _, _ = io.WriteString(ours, request) }()
			}
			begin := time.Now()
			ours, theirs := net.Pipe()
			l.come <- theirs
			go func() { _, _ = io.WriteString(ours, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }()
			answer, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v", what, err)
			}
			if n, err := io.Copy(io.Discard, answer.Body); n != 1<<20 || err != nil {
				t.Errorf("%s: %d bytes, %v", what, n, err)
			}
			if d := time.Since(begin); d > 3*openTimeout+time.Second || d == 0 {
				t.Errorf("%s: answered after %v", what, d)
			}
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}
