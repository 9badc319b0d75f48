package netcheck

import (
	"context"
	"io"
	"net/netip"
	"sync"
	"time"

	"hedgerow/nat/stun"
)

// asker asks STUN servers from one socket. It has a goroutine that reads.
type asker struct {
	conn   Conn
	covers Covers // nil: nothing is hidden
	rand   io.Reader
	ended  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	waiting map[[12]byte]question
}

// question is a request that may be answered.
type question struct {
	to      netip.AddrPort // from another port of its host the answer counts as well
	sent    time.Time
	answers chan<- answer
}

// answer is the outcome of a request.
type answer struct {
	to    netip.AddrPort // the server that was asked
	from  netip.AddrPort // the address that answered
	seen  netip.AddrPort // our address there; not valid when a request of ours came back to us
	other uint16         // the server's other port, 0 if it names none
	rtt   time.Duration
}

// readLen is the room for an answer in bytes.
const readLen = 2048

func newAsker(conn Conn, covers Covers, random io.Reader) *asker {
	a := &asker{conn: conn, covers: covers, rand: random, ended: make(chan struct{}), waiting: make(map[[12]byte]question)}
	go a.read()
	return a
}

// close closes the socket and waits for the goroutine.
func (a *asker) close() {
	_ = a.conn.Close()
	<-a.ended
}

func (a *asker) read() {
	defer close(a.ended)
	buf := make([]byte, readLen)
	for {
		n, from, err := a.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		pkt := buf[:n]
		if a.covers != nil {
			if message := a.covers.Show(from, pkt); message != nil {
				pkt = message
			}
		}
		a.accept(time.Now(), pkt, from)
	}
}

// accept gives an answer to the goroutine that waits for it. It drops one that
// answers no request, or that comes from another host than was asked.
func (a *asker) accept(now time.Time, pkt []byte, from netip.AddrPort) {
	got := answer{from: from}
	var id [12]byte
	if r, err := stun.ParseResponse(pkt); err == nil {
		id, got.seen, got.other = r.ID, r.Mapped, r.Other.Port()
	} else if r, err := stun.ParseRequest(pkt); err == nil {
		id = r.ID
	} else {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	q, ok := a.waiting[id]
	if !ok || q.to.IsValid() && q.to.Addr() != from.Addr() || q.to.IsValid() != got.seen.IsValid() {
		return
	}
	delete(a.waiting, id)
	got.to, got.rtt = q.to, now.Sub(q.sent)
	select {
	case q.answers <- got:
	default: // the asker has stopped waiting
	}
}

// transaction draws an identifier and waits for it under a question.
func (a *asker) transaction(q question) (id [12]byte, err error) {
	if _, err := io.ReadFull(a.rand, id[:]); err != nil {
		return id, err
	}
	q.sent = time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[id] = q
	return id, nil
}

// form is the attributes of a request that ask for more than the address.
type form struct {
	changePort bool // an answer from the other port
	size       int  // bytes of the UDP payload; 0: as short as it may be
}

// send sends a request. Its answer, if one comes, goes to answers, which must
// have room.
func (a *asker) send(to netip.AddrPort, f form, answers chan<- answer) error {
	id, err := a.transaction(question{to: to, answers: answers})
	if err != nil {
		return err
	}
	pkt := stun.Request{ID: id, ChangePort: f.changePort}.Append(nil)
	if a.covers != nil {
		if hidden := a.covers.HideIn(to, pkt, max(f.size, len(pkt)+CoverLen)); hidden != nil {
			return a.conn.WriteTo(hidden, to)
		}
	}
	if f.size > len(pkt) {
		pkt = pad(pkt, f.size)
	}
	return a.conn.WriteTo(pkt, to)
}

// tries are the times to wait for an answer to a request and to its repetitions.
var tries = [...]time.Duration{250 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond}

// ask sends a request up to three times until one is answered.
func (a *asker) ask(ctx context.Context, to netip.AddrPort, f form) (answer, bool) {
	answers := make(chan answer, len(tries))
	for _, wait := range tries {
		_ = a.send(to, f, answers) // after a failure the next copy may be sent
		if got, ok := await(ctx, answers, wait); ok || ctx.Err() != nil {
			return got, ok
		}
	}
	return answer{}, false
}

// await waits for one answer.
func await(ctx context.Context, answers <-chan answer, wait time.Duration) (answer, bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case got := <-answers:
		return got, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return answer{}, false
}
