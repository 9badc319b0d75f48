//go:build !linux

package transport

// wakeFor returns what a MuxReader over a socket waits with.
func wakeFor(socket Batch, sides <-chan struct{}, _ bool) (signal, waits, error) {
	w, err := wakeByReady(socket, sides)
	return signal{}, w, err
}
