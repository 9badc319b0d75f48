package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// pinged is what a pinger has found out.
type pinged struct {
	Micros []float64 // time until each reply; unanswered: unansweredMicros
}

const (
	// unanswered is how long a reply is waited for.
	unanswered       = time.Second
	unansweredMicros = float64(unanswered / time.Microsecond)
	pingPayload      = 56 // bytes, as ping(8) sends
)

// sendPings sends echo requests at a steady rate and waits for their replies,
// on one thread that sleeps in one place: nothing between the wire and the
// clock but a system call.
func sendPings(t task, _ func()) (any, error) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: t.Addr.Addr().As4()}); err != nil {
		return nil, err
	}
	p := pinger{fd: fd, id: os.Getpid() & 0xffff, sent: make([]time.Time, t.Count), took: make([]time.Duration, t.Count)}
	gap := time.Duration(float64(time.Second) / t.Rate)
	next := time.Now()
	for number := 0; ; {
		now := time.Now()
		switch {
		case number < len(p.sent) && !now.Before(next):
			if err := p.send(number); err != nil {
				return nil, err
			}
			number++
			if next = next.Add(gap); number == len(p.sent) {
				next = now.Add(unanswered)
			}
		case number == len(p.sent) && (p.open == 0 || !now.Before(next)):
			return p.result(), nil
		default:
			if err := p.receive(next.Sub(now)); err != nil {
				return nil, err
			}
		}
	}
}

// pinger is the state of sendPings.
type pinger struct {
	fd, id int
	sent   []time.Time
	took   []time.Duration // 0: no reply yet
	open   int             // how many have no reply yet
}

func (p *pinger) send(number int) error {
	request, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{
		ID: p.id, Seq: number, Data: make([]byte, pingPayload),
	}}).Marshal(nil)
	if err != nil {
		return err
	}
	p.open++
	p.sent[number] = time.Now()
	_, err = unix.Write(p.fd, request)
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) {
		return nil // lost
	}
	return err
}

// receive waits for something to arrive, but no longer than this, and takes it.
func (p *pinger) receive(most time.Duration) error {
	limit := unix.NsecToTimespec(int64(max(most, 0)))
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, &limit, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	b := make([]byte, 256)
	for n > 0 {
		size, err := unix.Read(p.fd, b)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		p.take(b[:size], time.Now())
	}
	return nil
}

// take notes a reply. A raw socket hands over the IP header, and everybody's
// replies (RFC 792: type 0, identifier at 4, number at 6).
func (p *pinger) take(packet []byte, now time.Time) {
	if len(packet) < 20 {
		return
	}
	header := int(packet[0]&15) * 4
	if len(packet) < header+8 {
		return
	}
	reply := packet[header:]
	number := int(binary.BigEndian.Uint16(reply[6:]))
	if reply[0] != 0 || int(binary.BigEndian.Uint16(reply[4:])) != p.id || number >= len(p.sent) {
		return
	}
	if p.took[number] == 0 && !p.sent[number].IsZero() {
		p.took[number] = now.Sub(p.sent[number])
		p.open--
	}
}

func (p *pinger) result() pinged {
	var r pinged
	for _, d := range p.took {
		micros := float64(d) / float64(time.Microsecond)
		if d == 0 {
			micros = unansweredMicros
		}
		r.Micros = append(r.Micros, micros)
	}
	slices.Sort(r.Micros)
	return r
}

// quantile returns the value below which the share q of the sorted values lies.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// pings measures round trips from one side to the other one and back.
func (s *scene) pings(ctx context.Context, from, to *side, count int, gap time.Duration) (p pinged, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(count)*gap+patience)
	defer cancel()
	g, err := start(ctx, from.host, task{
		Kind: "ping", Addr: to.at(0), Count: uint64(count), Rate: float64(time.Second) / float64(gap),
	})
	if err != nil {
		return p, err
	}
	defer g.kill()
	return p, g.result(&p)
}
