package protocol

// MaxNoticeIndices is how many key indices a Notice can name.
const MaxNoticeIndices = 8

// noticeBody is the size of a NOTICE in bytes without its mac.
const noticeBody = NoticeLen - TagLen

// Notice answers an INIT under a key index that the responder does not have, and
// names the key indices that it would accept. It is a hint: the initiator tries
// one that it holds as valid itself.
type Notice struct {
	// Index is the session index of the INIT.
	Index uint32
	// Indices are 1 to MaxNoticeIndices key indices; AppendNotice leaves further
	// ones out.
	Indices []uint8
}

// Append appends the NOTICE without its mac, unmasked: 32 bytes.
func (n *Notice) Append(dst []byte) []byte {
	dst = Header{Type: TypeNotice, XF: XFPair, KI: KINone, RX: n.Index}.append(dst)
	list := n.Indices[:min(len(n.Indices), MaxNoticeIndices)]
	dst = append(append(dst, byte(len(list))), list...)
	return appendZeros(dst, noticeBody-HeaderLen-1-len(list))
}

// ParseNotice reads an unmasked NOTICE, with or without its mac, which it does
// not check. It fails as ParseHello does, and with ErrValue.
func ParseNotice(b []byte) (Notice, error) {
	if len(b) == NoticeLen {
		b = b[:noticeBody]
	}
	h, err := parseFixed(b, TypeNotice, noticeBody)
	if err != nil {
		return Notice{}, err
	}
	n := int(b[HeaderLen])
	if n < 1 || n > MaxNoticeIndices {
		return Notice{}, ErrValue
	}
	list := b[HeaderLen+1 : HeaderLen+1+n]
	return Notice{Index: h.RX, Indices: append([]uint8(nil), list...)}, nil
}
