//go:build !linux

package transport

// wakeFor returns what the Wait of a MuxReader uses.
func wakeFor(socket Batch, sides <-chan struct{}, _ bool) (signal, waits, error) {
	w, err := wakeByReady(socket, sides)
	return signal{}, w, err
}
