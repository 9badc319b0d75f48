package edge

import "house/protocol"

func (e *Edge) retry(h protocol.Header) {
	if h.Index > maxIndex {
		return
	}
	e.register(protocol.Header{Index: h.Index + 1})
	e.publish()
}
