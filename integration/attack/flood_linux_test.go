package attack

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/net/ipv4"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// A flood is what strangers send to a supernode: packets that were made before, again and
// again. One that gets what is sent to its addresses shows the cookies that it is given.
type flood struct {
	packets  [][]byte // masked
	inits    [][]byte // unmasked
	openings []*crypto.Initiation
	mask     *crypto.Mask

	mu    sync.Mutex
	armed []armed // INITs with a cookie
	next  int     // in armed: the oldest
	came  int     // COOKIEs
}

// armed is an INIT with a cookie, from the source that the cookie proves.
type armed struct {
	from source
	pkt  []byte
}

// mostArmed is how many sources of a flood have a cookie at a time.
const mostArmed = 4096

// newFlood makes 600 INITs, and besides HELLOs, STUN requests, packets of an earlier boot,
// and noise.
func newFlood(k *secrets) *flood {
	const inits = 600
	f := &flood{mask: k.super}
	random := rand.New(rand.NewPCG(7, 8))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for n := range inits {
		var hdr [protocol.HeaderLen]byte
		protocol.Header{Type: protocol.TypeInit, XF: protocol.XFHop, KI: protocol.KINone, RX: noEdge | uint32(n), CTR: protocol.Revision}.Put(hdr[:])
		var plain [protocol.InitPayloadLen]byte
		payload := protocol.InitPayload{Stamp: uint64(time.Now().UnixNano()), VMin: protocol.Version, VMax: protocol.Version, MTU: 1370}
		payload.Put(&plain)
		local := crypto.HandshakeConfig{Hop: true, Local: identityOf("flood", uint32(n))}
		opening, pkt, err := crypto.Initiate(local, k.superKey, hdr, plain, nil)
		f.openings = append(f.openings, opening)
		f.inits = append(f.inits, lab.Must(pkt, err))
		f.packets = append(f.packets, f.hide(k, append([]byte(nil), pkt...)))
		if n%3 == 0 {
			hello := protocol.AppendHello(nil, [16]byte(noise(16)))
			k.hello.Hide(k.scratch, hello)
			data := noise(60)
			protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: uint32(n), CTR: 1}.Put(data)
			f.packets = append(f.packets, hello, f.hide(k, data), stun.AppendRequest(nil, [12]byte(noise(12))), noise(20+n))
		}
	}
	return f
}

func (f *flood) hide(k *secrets, pkt []byte) []byte {
	f.mask.Hide(k.scratch, pkt)
	return pkt
}

// arm makes an INIT with the cookie that a source was given, for which it listens.
func (f *flood) arm() func(at source, pkt []byte) {
	scratch := crypto.NewScratch()
	return func(at source, pkt []byte) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.came++; len(f.armed) == mostArmed && f.came%16 != 0 {
			return // most would be replaced before they are used
		}
		which := binary.BigEndian.Uint32(pkt[8:]) &^ noEdge
		cookie, err := f.openings[int(which)%len(f.openings)].OpenCookie(pkt)
		if err != nil {
			return
		}
		init := append([]byte(nil), f.inits[which]...)
		mac := lab.Must(blake2s.New128(cookie[:]))
		mac.Write(init[:protocol.InitLen-protocol.TagLen])
		mac.Sum(init[:protocol.InitLen-protocol.TagLen])
		f.mask.Hide(scratch, init)
		if len(f.armed) < mostArmed {
			f.armed = append(f.armed, armed{at, init})
			return
		}
		f.armed[f.next%mostArmed] = armed{at, init}
		f.next++
	}
}

// pick returns the n-th packet and its source: each second one shows a cookie, if there
// is one.
func (f *flood) pick(n int, anywhere func(n int) source) (from source, pkt []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n%2 == 0 && len(f.armed) > 0 {
		a := f.armed[n/2%len(f.armed)]
		return a.from, a.pkt
	}
	return anywhere(n), f.packets[n*11%len(f.packets)]
}

// pour sends so many bytes a second for a time, and returns how many it were. What a busy
// machine keeps it from is sent later, so that the mean holds.
func pour(t *testing.T, lasts time.Duration, rate float64, send func(n, most int) (packets, bytes int, err error)) (sent int) {
	const tick = time.Millisecond
	for n, began := 0, time.Now(); ; time.Sleep(tick) {
		since := time.Since(began)
		for owed := int(rate*min(since, lasts).Seconds()) - sent; owed > 0; {
			packets, bytes, err := send(n, 1+owed/protocol.InitLen)
			if err != nil {
				t.Error(err)
				return sent
			}
			n, owed, sent = n+packets, owed-bytes, sent+bytes
			if time.Since(began) > lasts+lasts/4+3*time.Second {
				t.Errorf("this machine is too slow for the flood: %d bytes in %v", sent, time.Since(began))
				return sent
			}
		}
		if since > lasts {
			return sent
		}
	}
}

// byLine sends batches by the sockets of a line, all of a batch by the same.
func (f *flood) byLine(l *line, anywhere func(n int) source) func(n, most int) (int, int, error) {
	const batch = 32
	messages := make([]ipv4.Message, batch)
	to := net.UDPAddrFromAddrPort(l.to)
	return func(n, most int) (packets, bytes int, err error) {
		var port int
		for packets < min(most, batch) {
			from, pkt := f.pick(n+packets, anywhere)
			if packets > 0 && from.port != port {
				break
			}
			port = from.port
			messages[packets] = ipv4.Message{Buffers: [][]byte{pkt}, OOB: controlOf(from.addr), Addr: to}
			packets++
		}
		for done := 0; done < packets && err == nil; {
			var n int
			n, err = l.ports[port].batch.WriteBatch(messages[done:packets], 0)
			done += n
		}
		for _, m := range messages[:packets] {
			bytes += len(m.Buffers[0])
		}
		return packets, bytes, err
	}
}
