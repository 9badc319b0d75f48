package transport

// Limits of a train: datagrams of one size to one destination that the kernel
// accepts and cuts as one message (UDP_SEGMENT, udp(7)). Packages that build
// trains use Datagram.Grow, which keeps to them.
const (
	// MaxTrainDatagrams is the most datagrams that every kernel with UDP_SEGMENT
	// accepts in one message (UDP_MAX_SEGMENTS, 64 before Linux 6.9).
	MaxTrainDatagrams = 64
	// MaxTrainBytes is the most bytes of a train, and of any datagram: the longest
	// UDP payload over IPv4.
	MaxTrainBytes = 65507
	// ReadBufferLen is the length in bytes of a Datagram's Buf that any datagram
	// and the longest train that the kernel joins (UDP_GRO) fit into.
	ReadBufferLen = 1 << 16
)

// Grow makes the n bytes that follow the payload in Buf's array the next datagram
// of the train, or makes a single datagram the first of one, and reports whether
// it could. It could not when n is 0 or longer than the first datagram, when a
// shorter one has ended the train before, when the train would exceed its limits,
// or when Buf has not the capacity. TTL, TOS and Addr are the whole train's.
func (d *Datagram) Grow(n int) bool {
	seg := d.Seg
	if seg == 0 {
		seg = d.N
	}
	total := d.N + n
	if n <= 0 || n > seg || d.N%seg != 0 || total > min(MaxTrainDatagrams*seg, MaxTrainBytes) || total > cap(d.Buf) {
		return false
	}
	d.Buf, d.N, d.Seg = d.Buf[:total], total, seg
	return true
}

// Datagrams returns how many datagrams the payload is: 1, or those of the train.
func (d *Datagram) Datagrams() int { return segments(d.N, d.Seg) }

// segments returns how many datagrams n bytes are, in pieces of seg bytes each
// but the last; seg 0 is a datagram alone.
func segments(n, seg int) int {
	if seg <= 0 || n <= seg {
		return 1
	}
	return (n + seg - 1) / seg
}
