package supernode

import (
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/transport"
)

const (
	// outboxFull is how many entries an outbox holds before its goroutine stops
	// to send them.
	outboxFull = 64
)

// shortest is the length of the shortest packet: a header and the 16 bytes
// that its mask is made from.
const shortest = protocol.HeaderLen + protocol.TagLen

// outbox gathers the datagrams that one goroutine sends, so that none is sent while
// the registry's mutex is held. Packets lie either in its own buffers or in the
// buffer that they were read into; both are free again after a flush.
//
// A relayed packet stays where it was read and keeps its length. So packets of
// a train that follow each other to the same destination are a train again, and
// leave as one entry of the batch without being copied.
type outbox struct {
	sc    *crypto.Scratch
	batch []transport.Datagram
	own   ownBuffers

	train  []byte     // the buffer that is being handled
	source netip.Addr // by which its sender is counted until it has proved its address
	came   struct {
		us  us    // what it was sent to, which answers leave from
		tos uint8 // with which it came; what is relayed of it leaves with the same
	}
	at   int // where in it the datagram that is being handled begins
	tail int // where in it the last entry of batch ends; shut: it may not grow

	stays []stay // streams over which an edge came

	run   relayRun
	flood flood
	// otherSocket are the datagrams that leave by the other socket.
	otherSocket []transport.Datagram
	// answers go to strangers. They leave last: what the socket does not take any
	// more is theirs.
	answers []transport.Datagram
	spare   [protocol.HelloLen]byte // a datagram before it was unmasked
	end     [16]byte                // the last bytes of the datagram, where there is an obfuscation key
}

// ownBuffers are the buffers of an outbox that packets of our own are made in.
type ownBuffers struct {
	all  [][]byte
	used int // handed out since the last flush
}

// shut is a tail that nothing lies behind.
const shut = -1

func newOutbox() *outbox {
	return &outbox{sc: crypto.NewScratch(), tail: shut}
}

// buffer returns an empty slice with room for one datagram, valid until the
// next flush.
func (o *outbox) buffer() []byte {
	b := &o.own
	if b.used == len(b.all) {
		b.all = append(b.all, make([]byte, protocol.MaxDatagram))
	}
	b.used++
	return b.all[b.used-1][:0]
}

// startTrain says that the datagrams in d are handled from now on. source is the
// address by which their sender is counted until it has proved its own.
func (o *outbox) startTrain(d *transport.Datagram, source netip.Addr) {
	o.train, o.source, o.at, o.tail = d.Payload(), source, 0, shut
	o.came.us, o.came.tos = us{local: d.Local}, d.TOS
	o.run = relayRun{}
}

// answerTo says that a datagram is handled from now on that was read before: where it came
// from, what it was sent to, and by which address its sender is counted.
func (o *outbox) answerTo(came ends, source netip.Addr) {
	o.train, o.source, o.at, o.tail = nil, source, 0, shut
	o.came.us, o.came.tos = came.us, 0
	o.run = relayRun{}
}

// origin returns where the datagram that is being handled came from.
func (o *outbox) origin(from netip.AddrPort) origin { return origin{addr: from, source: o.source} }

// ends are the two ends between which packets to an edge travel.
type ends struct {
	addr netip.AddrPort // the edge's
	us   us
}

// us is our end, as an edge knows it.
type us struct {
	local netip.Addr // the address that the edge sends to; not valid: any will do
	key   *serverKey // by which it knows us
}

// send masks a sealed packet and queues it. pkt is the outbox's until flush.
func (o *outbox) send(pkt []byte, to ends) {
	to.us.key.mask.Hide(o.sc, pkt)
	o.sendPlain(pkt, to)
}

// sendPlain queues a datagram that is not masked with the supernode's key.
func (o *outbox) sendPlain(pkt []byte, to ends) {
	o.batch = append(o.batch, to.datagram(pkt))
	o.tail = shut
}

// datagram returns a packet as it is sent.
func (e ends) datagram(pkt []byte) transport.Datagram {
	return transport.Datagram{Buf: pkt, N: len(pkt), Addr: e.addr, Local: e.us.local}
}

// back returns the way back of the datagram that is being handled.
func (o *outbox) back(from netip.AddrPort) ends {
	return ends{addr: from, us: o.came.us}
}

// answerByOtherSocket queues an answer for the other socket than the one that is
// flushed to.
func (o *outbox) answerByOtherSocket(pkt []byte, to netip.AddrPort) {
	o.otherSocket = append(o.otherSocket, o.back(to).datagram(pkt))
}

// forward masks the sealed packet of size bytes that begins at o.at and queues
// it where it lies, as a part of the last entry if that can be.
func (o *outbox) forward(size int, to *ends) {
	end := o.at + size
	to.us.key.mask.Hide(o.sc, o.train[o.at:end])
	if o.tail == o.at {
		last := &o.batch[len(o.batch)-1]
		seg := last.Seg
		if seg == 0 {
			seg = last.N
		}
		total := last.N + size
		if last.Addr == to.addr && last.Local == to.us.local && size <= seg && total <= min(transport.MaxTrainDatagrams*seg, transport.MaxTrainBytes) {
			last.Buf, last.N, last.Seg = o.train[end-total:end:end], total, seg
			if o.tail = end; size < seg {
				o.tail = shut // only the last of a train may be shorter
			}
			return
		}
	}
	o.sendPlain(o.train[o.at:end:end], *to)
	o.passOn()
	o.tail = end
}

// passOn gives the packet that was queued last the TOS of the datagram that it came in.
func (o *outbox) passOn() { o.batch[len(o.batch)-1].TOS = o.came.tos }

// answer masks a packet for the sender of the datagram that is being handled, which has
// no session, and queues it behind those for edges. pkt is the outbox's until flush.
func (o *outbox) answer(pkt []byte, to netip.AddrPort) {
	o.came.us.key.mask.Hide(o.sc, pkt)
	o.answerPlain(pkt, to)
}

// answerPlain is answer for a datagram that is not masked with the supernode's key.
func (o *outbox) answerPlain(pkt []byte, to netip.AddrPort) {
	o.answers = append(o.answers, o.back(to).datagram(pkt))
}

// admit notes how far what came from an address has got: if a stream has it, the
// stream may stay for that. The next flush, when no mutex is held, tells the streams.
func (o *outbox) admit(from netip.AddrPort, progress streamProgress) {
	if transport.IsSide(from.Addr()) {
		o.stays = append(o.stays, stay{side: from, progress: progress})
	}
}

func (o *outbox) full() bool { return len(o.batch)+len(o.answers) >= outboxFull }
