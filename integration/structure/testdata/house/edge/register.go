package edge

import "house/protocol"

func (e *Edge) register(h protocol.Header) {
	e.retry(h)
	e.send.Send(nil)
	e.name2()
}
